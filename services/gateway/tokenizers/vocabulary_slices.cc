#include "services/gateway/tokenizers/vocabulary_slices.h"

#include <string>
#include <string_view>

namespace swiftlet {
namespace {

constexpr size_t kHeaderBytes = 256;  // hash, first id, ends of sequence
constexpr size_t kTokenBytes = 4;     // tag and length

std::string TextOf(const DirectoryEntry& model, int32_t id) {
  const std::string_view bytes = model.vocabulary->Bytes(id);
  if (!model.vocabulary->IsSpecial(id)) return std::string(bytes);
  // Special tokens are left out of text, but these two mean something to a grammar.
  const bool is_tag = !bytes.empty() &&
                      (bytes == model.tokenizer.reasoning_open_tag() || bytes == model.tokenizer.reasoning_close_tag());
  return is_tag ? '\xFF' + std::string(bytes) : std::string();
}

}  // namespace

int32_t FillVocabularySlice(const DirectoryEntry& model, int32_t first_id, v1::VocabularySlice& slice,
                            size_t max_bytes) {
  slice.set_tokenizer_hash(model.tokenizer.tokenizer_hash());
  slice.set_first_id(first_id);
  int32_t id = first_id;
  // One at least, however long it is.
  for (size_t bytes = kHeaderBytes; id < model.vocabulary->size(); ++id) {
    std::string text = TextOf(model, id);
    bytes += text.size() + kTokenBytes;
    if (bytes > max_bytes && id > first_id) return id;
    slice.add_tokens(std::move(text));
  }
  slice.set_last(true);
  *slice.mutable_end_ids() = model.tokenizer.eos_token_ids();
  return id;
}

}  // namespace swiftlet
