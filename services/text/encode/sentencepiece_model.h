// The sentencepiece library behind a wall: its header declares a namespace absl of its own and its .so carries another
// protobuf, so no file but sentencepiece_model.cc includes it, and that one includes nothing of Abseil, protobuf or
// gRPC. Const once loaded, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

class SentencePieceModel {
 public:
  // Null, with *error set, when `serialized` is no model.
  static std::unique_ptr<SentencePieceModel> Load(std::string_view serialized, std::string* error);
  ~SentencePieceModel();

  // Appends the ids of `text` (valid UTF-8). False, with *error set, when the library refuses it.
  bool Encode(std::string_view text, std::vector<int32_t>* ids, std::string* error) const;

  // What the library shows for a character that has no piece.
  std::string UnknownSurface() const;

  // -1 for a token that the model does not have.
  int32_t bos_id() const;
  int32_t eos_id() const;
  int32_t pad_id() const;
  int32_t unk_id() const;
  int32_t size() const;

 private:
  struct Library;
  explicit SentencePieceModel(std::unique_ptr<Library> library);

  std::unique_ptr<Library> library_;
};

}  // namespace swiftlet
