#include "services/text/encode/sentencepiece_proto.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <cstdint>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/sentencepiece_charsmap.h"

namespace swiftlet {
namespace {

// Walks the fields of one message of the protobuf wire format.
class FieldReader {
 public:
  struct Field {
    uint32_t number = 0;
    uint64_t varint = 0;     // wire type 0
    size_t at = 0;           // where the payload begins
    std::string_view bytes;  // wire type 2
  };

  // `message` begins at offset `base` of the document.
  FieldReader(std::string_view message, size_t base) : message_(message), base_(base) {}

  bool AtEnd() const { return at_ == message_.size(); }

  absl::StatusOr<Field> Next() {
    Field field;
    ASSIGN_OR_RETURN(const uint64_t key, Varint());
    field.number = static_cast<uint32_t>(key >> 3);
    field.at = base_ + at_;
    switch (key & 7) {
      case 0: {
        ASSIGN_OR_RETURN(field.varint, Varint());
        return field;
      }
      case 1:
        RETURN_IF_ERROR(Skip(8));
        return field;
      case 2: {
        ASSIGN_OR_RETURN(const uint64_t length, Varint());
        field.at = base_ + at_;
        const size_t begin = at_;
        RETURN_IF_ERROR(Skip(length));
        field.bytes = message_.substr(begin, length);
        return field;
      }
      case 5:
        RETURN_IF_ERROR(Skip(4));
        return field;
      default:
        return Broken("unknown wire type");
    }
  }

 private:
  absl::Status Broken(std::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("not a sentencepiece model: ", ToAbsl(what), " at byte ", base_ + at_));
  }

  absl::StatusOr<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == message_.size()) return Broken("the file ends within a number");
      const auto byte = static_cast<unsigned char>(message_[at_++]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return Broken("a number of more than 64 bits");
  }

  absl::Status Skip(uint64_t bytes) {
    if (bytes > message_.size() - at_) return Broken("the file ends within a field");
    at_ += bytes;
    return absl::OkStatus();
  }

  std::string_view message_;
  size_t base_;
  size_t at_ = 0;
};

absl::StatusOr<SentencePieceProto::Piece> ParsePiece(std::string_view message, size_t base) {
  SentencePieceProto::Piece piece;
  FieldReader reader(message, base);
  while (!reader.AtEnd()) {
    ASSIGN_OR_RETURN(const FieldReader::Field field, reader.Next());
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 3) {
      if (field.varint < 1 || field.varint > 6) {
        return absl::InvalidArgumentError(
            absl::StrCat("piece \"", ToAbsl(piece.text), "\": unknown type ", field.varint, " at byte ", field.at));
      }
      piece.type = static_cast<SentencePieceProto::Type>(field.varint);
      piece.type_at = field.at;
    }
  }
  return piece;
}

}  // namespace

absl::StatusOr<SentencePieceProto> SentencePieceProto::Parse(std::string_view serialized) {
  SentencePieceProto proto;
  FieldReader reader(serialized, 0);
  while (!reader.AtEnd()) {
    ASSIGN_OR_RETURN(const FieldReader::Field field, reader.Next());
    if (field.number == 1) {
      ASSIGN_OR_RETURN(const Piece piece, ParsePiece(field.bytes, field.at));
      proto.pieces.push_back(piece);
    } else if (field.number == 3 || field.number == 5) {  // normalizer_spec, denormalizer_spec
      FieldReader spec(field.bytes, field.at);
      while (!spec.AtEnd()) {
        ASSIGN_OR_RETURN(const FieldReader::Field setting, spec.Next());
        if (setting.number == 2) RETURN_IF_ERROR(CheckSentencePieceCharsMap(setting.bytes));
        if (field.number == 5) continue;
        if (setting.number == 3) proto.add_dummy_prefix = setting.varint != 0;
        if (setting.number == 4) proto.remove_extra_whitespaces = setting.varint != 0;
      }
    }
  }
  if (proto.pieces.empty()) return absl::InvalidArgumentError("not a sentencepiece model: no piece in it");
  return proto;
}

}  // namespace swiftlet
