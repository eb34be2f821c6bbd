#include "services/model_worker/vocabulary_intake.h"

#include <absl/strings/str_cat.h>

#include "services/common/errors.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxBytes = 64 << 20;

}  // namespace

absl::Status VocabularyIntake::Take(v1::VocabularySlice& slice) {
  if (slice.tokenizer_hash() != model_.tokenizer_hash()) {
    return InvalidField("vocabulary.tokenizer_hash", "the vocabulary is of another tokenizer");
  }
  const size_t known = tokens_.size();
  if (slice.first_id() < 0 || static_cast<size_t>(slice.first_id()) != known) {
    return InvalidField("vocabulary.first_id", absl::StrCat("id ", slice.first_id(), " came after ", known, " ids"));
  }
  if (known + static_cast<size_t>(slice.tokens_size()) > static_cast<size_t>(model_.logits_width())) {
    return InvalidField("vocabulary.tokens", "the vocabulary is wider than the logits");
  }
  for (std::string& token : *slice.mutable_tokens()) {
    bytes_ += token.size();
    tokens_.push_back(std::move(token));
  }
  if (bytes_ > kMaxBytes) {
    return InvalidField("vocabulary.tokens", absl::StrCat("the vocabulary has over ", kMaxBytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace swiftlet
