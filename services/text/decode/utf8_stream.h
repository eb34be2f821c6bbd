// Bytes in any cut to whole UTF-8 characters. What is not UTF-8 becomes U+FFFD, one for each maximal subpart (Unicode
// 15, section 3.9, table 3-8), so that the output is that of a lossy decode of all the bytes at once.
// One stream, one owner, no thread of its own.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace swiftlet {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

class Utf8Stream {
 public:
  // Appends to `out` every character that is complete; holds back at most 3 bytes.
  void Push(std::string_view bytes, std::string& out);
  // The stream has ended: a held-back beginning of a character becomes U+FFFD.
  void Flush(std::string& out);

  // Whether anything pushed or flushed so far was not UTF-8.
  bool is_lossy() const { return is_lossy_; }

 private:
  void Replace(std::string& out) {
    out.append(kReplacementCharacter);
    is_lossy_ = true;
  }
  void Begin(uint8_t byte, std::string& out);

  std::array<char, 4> held_{};
  uint8_t held_size_ = 0;
  uint8_t missing_ = 0;    // continuation bytes until the character is complete
  uint8_t lowest_ = 0x80;  // range of the next continuation byte: narrower after E0, ED, F0 and F4
  uint8_t highest_ = 0xBF;
  bool is_lossy_ = false;
};

// Characters of `text`, which is UTF-8.
int32_t CountCharacters(std::string_view text);

}  // namespace swiftlet
