// Which models can be asked: the join of what tokenizers and workers say they serve, by model name and by the hashes of
// tokenizer and template. The pools write it on the control executor; any thread reads immutable snapshots.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/generation/generation.h"
#include "services/text/decode/decoder_rules.h"
#include "services/text/decode/vocabulary.h"
#include "swiftlet/v1/model.pb.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

// One model as the gateway knows it.
struct DirectoryEntry {
  std::string name;
  int64_t created_unix_s = 0;                    // when this gateway first saw a worker or a tokenizer with it
  v1::TokenizedModel tokenizer;                  // of a healthy tokenizer; the one that fits most workers
  std::shared_ptr<const Vocabulary> vocabulary;  // null while it is being fetched
  DecoderRules join;                             // how the vocabulary's bytes join to text
  int32_t logits_width = 0;                      // of the workers that fit the tokenizer
  int32_t max_model_len = 0;                     // the longest among them
  bool ready = false;                            // vocabulary there, rules known, and a worker that fits
  std::string problem;                           // why not ready, for the log
};

class ModelDirectory {
 public:
  struct TokenizerView {
    v1::TokenizedModel model;
    std::shared_ptr<const Vocabulary> vocabulary;
  };

  // Control executor. Each replaces what its kind said before.
  void SetTokenizers(std::vector<TokenizerView> tokenizers);
  void SetWorkers(std::vector<v1::ModelInfo> routable);

  // Any thread. Null when no tokenizer or worker ever named it.
  std::shared_ptr<const DirectoryEntry> Find(std::string_view name) const;
  std::vector<Generator::ServedModel> List() const;

 private:
  using Table = std::map<std::string, std::shared_ptr<const DirectoryEntry>, std::less<>>;
  void Rebuild();
  DirectoryEntry Join(const std::string& name) const;

  std::vector<TokenizerView> tokenizers_;  // control executor
  std::vector<v1::ModelInfo> workers_;     // control executor
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_ = std::make_shared<Table>();  // guarded by mutex_; the table never changes
};

}  // namespace swiftlet
