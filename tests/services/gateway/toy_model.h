// A model without weights: its vocabulary, and a next token that is a hash of everything a real one depends on.
// Wherever a request is resumed, the ids are the same, and one that is wrong, missing or doubled changes all that
// follow.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "services/text/decode/vocabulary.h"
#include "swiftlet/v1/common.pb.h"
#include "swiftlet/v1/model.pb.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet::toy {

inline constexpr const char* kName = "toy";
inline constexpr int32_t kEos = 256;
inline constexpr int32_t kOpenTag = 257;
inline constexpr int32_t kCloseTag = 258;
inline constexpr int32_t kFirstWord = 259;
inline constexpr int32_t kLogitsWidth = 320;  // wider than the vocabulary, as real ones are
inline constexpr int32_t kContext = 512;

// Ids 0 to 255 are bytes, then the special end of sequence, the reasoning tags, and words.
std::shared_ptr<const Vocabulary> MakeVocabulary();
v1::TokenizedModel Tokenized();
v1::WorkerHello Hello(const std::string& worker_id);
// One id a byte.
std::vector<int32_t> EncodeBytes(const std::string& text);

int32_t NextToken(std::span<const int32_t> prompt, std::span<const int32_t> output, uint64_t seed, int32_t choice);

struct Continuation {
  std::vector<int32_t> ids;
  v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
};
// What a choice of `submit` generates from the start to its end.
Continuation Generate(const v1::Submit& submit, int32_t choice);
// What a worker answers to `submit`: each choice from where it was resumed to its end, one after the other, so many ids
// a message.
std::vector<v1::AttachResponse> Answers(const v1::Submit& submit, int ids_a_message);

}  // namespace swiftlet::toy
