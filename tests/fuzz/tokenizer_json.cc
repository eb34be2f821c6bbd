// A tokenizer.json and a text for it. Input: the document, 0xFF, the text.
#include "services/text/encode/tokenizer_json.h"

#include <string>

#include "engine/base/check.h"
#include "services/text/encode/unicode.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace swiftlet;
  fuzz::Input input(data, size);
  const auto tokenizer = ParseTokenizerJson(input.Text(), {});
  if (!tokenizer.ok()) {
    CHECK(!tokenizer.status().message().empty());
    return 0;
  }
  const std::string_view text = input.rest();
  const size_t half = text.size() / 2;
  const TextSegment segments[] = {{text.substr(0, half), true}, {text.substr(half), false}};
  const auto ids = (*tokenizer)->Encode(segments, {.add_special_tokens = true});
  if (!ids.ok()) return 0;
  for (const int32_t id : *ids) CHECK(id >= 0 && id < (*tokenizer)->vocab_size()) << id;
  CHECK(IsValidUtf8((*tokenizer)->vocabulary().Decode(*ids, false)));
  return 0;
}
