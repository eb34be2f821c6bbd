// A sentencepiece model and a text for it. Input: the model, the text, the text's length (1 byte).
#include <string>

#include "engine/base/check.h"
#include "services/text/encode/sentencepiece_tokenizer.h"
#include "services/text/encode/unicode.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace swiftlet;
  std::string_view model(reinterpret_cast<const char*>(data), size);
  if (model.empty()) return 0;
  const auto length = static_cast<uint8_t>(model.back());
  model.remove_suffix(1);
  if (length > model.size()) return 0;
  const std::string_view text = model.substr(model.size() - length);
  model.remove_suffix(length);
  const auto tokenizer = ParseSentencePieceModel(model, {});
  if (!tokenizer.ok()) {
    CHECK(!tokenizer.status().message().empty());
    return 0;
  }
  const size_t half = text.size() / 2;
  const TextSegment segments[] = {{text.substr(0, half), true}, {text.substr(half), false}};
  const auto ids = (*tokenizer)->Encode(segments, {.add_special_tokens = true});
  if (!ids.ok()) return 0;
  for (const int32_t id : *ids) CHECK(id >= 0 && id < (*tokenizer)->vocab_size()) << id;
  CHECK(IsValidUtf8((*tokenizer)->vocabulary().Decode(*ids, false)));
  return 0;
}
