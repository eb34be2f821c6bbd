// Text to token ids, and what is needed to go back. Made by LoadTokenizer (tokenizer_loader.h), one for each model;
// const and safe to call from any number of threads.
#pragma once

#include <absl/status/statusor.h>
#include <absl/types/span.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/text/encode/token_vocabulary.h"

namespace swiftlet {

// A stretch of a prompt. Neighbours are encoded as if they were one string, except that a markup token (any added or
// control token that is not mere white space) is recognised only where all its bytes stand in allow_special segments:
// what a user wrote never becomes one, alone or together with the template's text around it.
struct TextSegment {
  std::string_view text;       // valid UTF-8
  bool allow_special = false;  // the template's own text
};

struct EncodeOptions {
  bool add_special_tokens = false;  // what the model's post-processor puts around a plain prompt, such as bos
};

// Ids named by tokenizer_config.json, or by the sentencepiece model.
struct SpecialIds {
  std::optional<int32_t> bos;
  std::optional<int32_t> eos;
  std::optional<int32_t> pad;
  std::optional<int32_t> unk;
};

// All that is constant about a tokenizer besides the way it encodes.
struct TokenizerFacts {
  TokenVocabulary vocabulary{JoinRules{}};
  SpecialIds special_ids;
  std::string hash;  // 32 lower-case hex digits: SHA-256 of tokenizer.json (else tokenizer.model), first half
};

// Look-ups in the memory of pieces already encoded, since start.
struct PieceCacheCounts {
  uint64_t lookups = 0;
  uint64_t hits = 0;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Linear in the length of the text, whatever it is. INVALID_ARGUMENT for text that is not UTF-8.
  virtual absl::StatusOr<std::vector<int32_t>> Encode(absl::Span<const TextSegment> segments,
                                                      const EncodeOptions& options) const = 0;

  // Zero where there is no such memory.
  virtual PieceCacheCounts piece_cache() const { return {}; }

  const TokenVocabulary& vocabulary() const { return facts_.vocabulary; }
  int32_t vocab_size() const { return facts_.vocabulary.size(); }
  const SpecialIds& special_ids() const { return facts_.special_ids; }
  const std::string& hash() const { return facts_.hash; }

 protected:
  explicit Tokenizer(TokenizerFacts facts) : facts_(std::move(facts)) {}

 private:
  TokenizerFacts facts_;
};

}  // namespace swiftlet
