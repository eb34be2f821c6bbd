// A sentencepiece model and a text for it. Input: the model, the text, the text's length (1 byte).
#include "services/text/encode/sentencepiece_tokenizer.h"
#include "tests/fuzz/encoding.h"
#include "tests/fuzz/input.h"

void swiftlet::fuzz::RunOne(Input input) {
  std::string_view model = input.rest();
  if (model.empty()) return;
  const auto length = static_cast<uint8_t>(model.back());
  model.remove_suffix(1);
  if (length > model.size()) return;
  const std::string_view text = model.substr(model.size() - length);
  model.remove_suffix(length);
  const auto tokenizer = ParseSentencePieceModel(model, {});
  if (IsFine(tokenizer.status())) CheckEncodes(**tokenizer, text);
}
