// absl::StrCat for std::string_view: the packaged Abseil was built for C++14 and has a string_view of its own.
#pragma once

#include <absl/strings/string_view.h>

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace swiftlet {

// One piece of Concat: text as it is, an integer in decimal.
class ConcatPiece {
 public:
  ConcatPiece(std::string_view text) : text_(text) {}                       // NOLINT: implicit, as arguments of Concat
  ConcatPiece(absl::string_view text) : text_(text.data(), text.size()) {}  // NOLINT
  ConcatPiece(const std::string& text) : text_(text) {}                     // NOLINT
  ConcatPiece(const char* text) : text_(text) {}                            // NOLINT
  ConcatPiece(std::integral auto number) : digits_(std::to_string(number)), text_(digits_) {}  // NOLINT
  ConcatPiece(const ConcatPiece&) = delete;
  ConcatPiece& operator=(const ConcatPiece&) = delete;
  std::string_view text() const { return text_; }

 private:
  std::string digits_;
  std::string_view text_;
};

inline std::string ConcatPieces(std::initializer_list<std::string_view> pieces) {
  size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  std::string text;
  text.reserve(size);
  for (const std::string_view piece : pieces) text.append(piece);
  return text;
}

template <typename... Pieces>
std::string Concat(const Pieces&... pieces) {
  return ConcatPieces({ConcatPiece(pieces).text()...});
}

}  // namespace swiftlet
