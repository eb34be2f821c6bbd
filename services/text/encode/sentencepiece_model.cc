#include "services/text/encode/sentencepiece_model.h"

#include <sentencepiece_processor.h>

#include <exception>
#include <utility>

namespace swiftlet {

struct SentencePieceModel::Library {
  sentencepiece::SentencePieceProcessor processor;
};

SentencePieceModel::SentencePieceModel(std::unique_ptr<Library> library) : library_(std::move(library)) {}
SentencePieceModel::~SentencePieceModel() = default;

std::unique_ptr<SentencePieceModel> SentencePieceModel::Load(std::string_view serialized, std::string* error) {
  try {
    auto library = std::make_unique<Library>();
    const sentencepiece::util::Status status = library->processor.LoadFromSerializedProto(serialized);
    if (status.ok()) return std::unique_ptr<SentencePieceModel>(new SentencePieceModel(std::move(library)));
    *error = status.ToString();
  } catch (const std::exception& exception) {
    *error = exception.what();
  }
  return nullptr;
}

bool SentencePieceModel::Encode(std::string_view text, std::vector<int32_t>* ids, std::string* error) const {
  try {
    std::vector<int> found;
    const sentencepiece::util::Status status = library_->processor.Encode(text, &found);
    if (!status.ok()) {
      *error = status.ToString();
      return false;
    }
    ids->insert(ids->end(), found.begin(), found.end());
    return true;
  } catch (const std::exception& exception) {
    *error = exception.what();
    return false;
  }
}

std::string SentencePieceModel::UnknownSurface() const {
  std::string text;
  const std::vector<int> ids = {library_->processor.unk_id()};
  if (!library_->processor.Decode(ids, &text).ok()) text.clear();
  return text;
}

int32_t SentencePieceModel::bos_id() const {
  return library_->processor.bos_id();
}
int32_t SentencePieceModel::eos_id() const {
  return library_->processor.eos_id();
}
int32_t SentencePieceModel::pad_id() const {
  return library_->processor.pad_id();
}
int32_t SentencePieceModel::unk_id() const {
  return library_->processor.unk_id();
}
int32_t SentencePieceModel::size() const {
  return library_->processor.GetPieceSize();
}

}  // namespace swiftlet
