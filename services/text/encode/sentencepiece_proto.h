// Reads a serialised sentencepiece ModelProto as far as a tokenizer needs it, without the library's protobuf classes
// (sentencepiece_model.h says why they stay behind a wall), and can change the type of a piece in place.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

struct SentencePieceProto {
  // sentencepiece_model.proto, ModelProto.SentencePiece.Type.
  enum class Type { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  struct Piece {
    std::string_view text;  // points into the bytes that were parsed
    Type type = Type::kNormal;
    size_t type_at = 0;  // where the byte stands that says the type; 0: not written, so kNormal
  };
  std::vector<Piece> pieces;  // by id
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;

  // INVALID_ARGUMENT when `serialized` is broken.
  static absl::StatusOr<SentencePieceProto> Parse(std::string_view serialized);
};

}  // namespace swiftlet
