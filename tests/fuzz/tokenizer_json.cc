// A tokenizer.json and a text for it. Input: the document, 0xFF, the text.
#include "services/text/encode/tokenizer_json.h"

#include "tests/fuzz/encoding.h"
#include "tests/fuzz/input.h"

void swiftlet::fuzz::RunOne(Input input) {
  const auto tokenizer = ParseTokenizerJson(input.Text(), {});
  if (IsFine(tokenizer.status())) CheckEncodes(**tokenizer, input.rest());
}
