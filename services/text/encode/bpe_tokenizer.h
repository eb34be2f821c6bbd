// A tokenizer.json put to work: added tokens, normalizer, pre-tokenizer, BPE, post-processor, in this order.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/added_tokens.h"
#include "services/text/encode/byte_bpe.h"
#include "services/text/encode/normalizer.h"
#include "services/text/encode/post_processor.h"
#include "services/text/encode/pretokenizer.h"
#include "services/text/encode/tokenizer.h"

namespace swiftlet {

class BpeTokenizer : public Tokenizer {
 public:
  struct Parts {
    AddedTokenMatcher raw_matcher;         // of tokens sought in the text as it came
    AddedTokenMatcher normalized_matcher;  // of tokens sought after the normalizer
    Normalizer normalizer;
    PreTokenizer pretokenizer;
    std::unique_ptr<const BpeModel> model;
    PostProcessor post_processor;
  };

  BpeTokenizer(TokenizerFacts facts, Parts parts);
  ~BpeTokenizer() override;

  absl::StatusOr<std::vector<int32_t>> Encode(absl::Span<const TextSegment> segments,
                                              const EncodeOptions& options) const override;
  PieceCacheCounts piece_cache() const override;

 private:
  // What one call of Encode works with; kept for the next one, so that its cache stays warm.
  struct Scratch;
  class ScratchLease;

  absl::Status EncodeText(std::string_view text, absl::Span<const Authorship> authors, Scratch& scratch,
                          std::vector<int32_t>& ids) const;
  absl::Status EncodeStretch(std::string_view text, absl::Span<const Authorship> authors, bool at_start,
                             Scratch& scratch, std::vector<int32_t>& ids) const;
  absl::Status EncodePieces(std::string_view text, bool guarded, bool at_start, Scratch& scratch,
                            std::vector<int32_t>& ids) const;

  const Parts parts_;
  mutable std::atomic<uint64_t> lookups_{0};
  mutable std::atomic<uint64_t> hits_{0};
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;  // guarded by mutex_; at most as many as callers at a time
};

}  // namespace swiftlet
