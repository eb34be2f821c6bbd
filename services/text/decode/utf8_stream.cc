#include "services/text/decode/utf8_stream.h"

#include <algorithm>

namespace swiftlet {

void Utf8Stream::Begin(uint8_t byte, std::string& out) {
  lowest_ = 0x80;
  highest_ = 0xBF;
  if (byte < 0x80) {
    out.push_back(static_cast<char>(byte));
    return;
  }
  if (byte >= 0xC2 && byte <= 0xDF) {
    missing_ = 1;
  } else if (byte >= 0xE0 && byte <= 0xEF) {
    missing_ = 2;
    if (byte == 0xE0) lowest_ = 0xA0;   // shorter forms exist
    if (byte == 0xED) highest_ = 0x9F;  // surrogates
  } else if (byte >= 0xF0 && byte <= 0xF4) {
    missing_ = 3;
    if (byte == 0xF0) lowest_ = 0x90;   // shorter forms exist
    if (byte == 0xF4) highest_ = 0x8F;  // above U+10FFFF
  } else {
    Replace(out);
    return;
  }
  held_[0] = static_cast<char>(byte);
  held_size_ = 1;
}

void Utf8Stream::Push(std::string_view bytes, std::string& out) {
  size_t i = 0;
  while (i < bytes.size()) {
    if (missing_ == 0) {
      const size_t begin = i;
      while (i < bytes.size() && static_cast<uint8_t>(bytes[i]) < 0x80) ++i;
      out.append(bytes.substr(begin, i - begin));
      if (i < bytes.size()) Begin(static_cast<uint8_t>(bytes[i++]), out);
      continue;
    }
    const uint8_t byte = static_cast<uint8_t>(bytes[i]);
    if (byte < lowest_ || byte > highest_) {  // the character breaks off here; this byte begins anew
      Flush(out);
      continue;
    }
    ++i;
    lowest_ = 0x80;
    highest_ = 0xBF;
    held_[held_size_++] = static_cast<char>(byte);
    if (--missing_ == 0) {
      out.append(held_.data(), held_size_);
      held_size_ = 0;
    }
  }
}

void Utf8Stream::Flush(std::string& out) {
  if (missing_ == 0) return;
  Replace(out);
  missing_ = 0;
  held_size_ = 0;
}

int32_t CountCharacters(std::string_view text) {
  return static_cast<int32_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

}  // namespace swiftlet
