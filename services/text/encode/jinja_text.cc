#include "services/text/encode/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>

namespace swiftlet::jinja {

bool Text::IsUser(size_t byte) const {
  auto range = std::upper_bound(user_ranges.begin(), user_ranges.end(), byte,
                                [](size_t at, const ByteRange& candidate) { return at < candidate.end; });
  return range != user_ranges.end() && range->begin <= byte;
}

void TextBuilder::Mark(size_t begin, size_t end) {
  if (begin == end) return;
  std::vector<ByteRange>& ranges = text_.user_ranges;
  if (!ranges.empty() && ranges.back().end == begin) {
    ranges.back().end = end;
  } else {
    ranges.push_back({begin, end});
  }
}

void TextBuilder::Append(std::string_view piece, bool user) {
  const size_t begin = text_.bytes.size();
  text_.bytes.append(piece);
  if (user) Mark(begin, text_.bytes.size());
}

void TextBuilder::Append(const Text& piece, size_t begin, size_t end) {
  const size_t base = text_.bytes.size();
  text_.bytes.append(piece.bytes, begin, end - begin);
  auto range = std::upper_bound(piece.user_ranges.begin(), piece.user_ranges.end(), begin,
                                [](size_t at, const ByteRange& candidate) { return at < candidate.end; });
  for (; range != piece.user_ranges.end() && range->begin < end; ++range) {
    Mark(base + std::max(range->begin, begin) - begin, base + std::min(range->end, end) - begin);
  }
}

Text Substring(const Text& text, size_t begin, size_t end) {
  TextBuilder builder;
  builder.Append(text, begin, end);
  return builder.Build();
}

char32_t DecodeCodePoint(std::string_view text, size_t& at) {
  const unsigned char lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  char32_t code_point = lead & (0x7Fu >> length);
  size_t end = std::min(at + length, text.size());
  for (++at; at < end; ++at) code_point = (code_point << 6) | (static_cast<unsigned char>(text[at]) & 0x3Fu);
  return code_point;
}

void AppendUtf8(char32_t code_point, std::string& out) {
  if (code_point < 0x80) {
    out.push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code_point >> 6)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  } else if (code_point < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code_point >> 12)));
    out.push_back(static_cast<char>(0x80 | ((code_point >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | (code_point >> 18)));
    out.push_back(static_cast<char>(0x80 | ((code_point >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((code_point >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
  }
}

namespace {

bool IsContinuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

bool IsLineEnd(char32_t code_point) {
  return (code_point >= 0x0A && code_point <= 0x0D) || (code_point >= 0x1C && code_point <= 0x1E) ||
         code_point == 0x85 || code_point == 0x2028 || code_point == 0x2029;
}

// The code point that ends before `at`, which moves to its first byte.
char32_t DecodeBackwards(std::string_view text, size_t& at) {
  do --at;
  while (at > 0 && IsContinuation(text[at]));
  size_t forward = at;
  return DecodeCodePoint(text, forward);
}

bool InSet(const std::string& characters, char32_t code_point) {
  for (size_t at = 0; at < characters.size();) {
    if (DecodeCodePoint(characters, at) == code_point) return true;
  }
  return false;
}

}  // namespace

int64_t CodePointCount(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !IsContinuation(byte); });
}

size_t CodePointOffset(std::string_view text, int64_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (!IsContinuation(text[at]) && index-- == 0) return at;
  }
  return at;
}

bool IsWhitespace(char32_t code_point) {
  return (code_point >= 0x09 && code_point <= 0x0D) || (code_point >= 0x1C && code_point <= 0x20) ||
         code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 || code_point == 0x2029 ||
         code_point == 0x202F || code_point == 0x205F || code_point == 0x3000;
}

ByteRange StripRange(std::string_view text, const std::string* characters, bool left, bool right) {
  auto removable = [&](char32_t code_point) {
    return characters != nullptr ? InSet(*characters, code_point) : IsWhitespace(code_point);
  };
  ByteRange range{0, text.size()};
  while (left && range.begin < range.end) {
    size_t next = range.begin;
    if (!removable(DecodeCodePoint(text, next))) break;
    range.begin = next;
  }
  while (right && range.end > range.begin) {
    size_t previous = range.end;
    if (!removable(DecodeBackwards(text, previous))) break;
    range.end = previous;
  }
  return range;
}

std::vector<ByteRange> SplitRanges(std::string_view text, const std::string* separator, int64_t max_splits) {
  std::vector<ByteRange> parts;
  size_t begin = 0;
  if (separator != nullptr) {
    while (max_splits != 0) {
      const size_t found = text.find(*separator, begin);
      if (found == std::string_view::npos) break;
      parts.push_back({begin, found});
      begin = found + separator->size();
      if (max_splits > 0) --max_splits;
    }
    parts.push_back({begin, text.size()});
    return parts;
  }
  while (true) {
    begin += StripRange(text.substr(begin), nullptr, true, false).begin;
    if (begin == text.size()) return parts;
    if (max_splits == 0) {
      parts.push_back({begin, text.size()});
      return parts;
    }
    size_t end = begin;
    for (size_t next = begin; next < text.size(); end = next) {
      if (IsWhitespace(DecodeCodePoint(text, next))) break;
    }
    parts.push_back({begin, end});
    begin = end;
    if (max_splits > 0) --max_splits;
  }
}

std::vector<ByteRange> SplitRangesFromRight(std::string_view text, const std::string* separator, int64_t max_splits) {
  std::vector<ByteRange> parts;
  size_t end = text.size();
  if (separator != nullptr) {
    while (max_splits != 0 && end >= separator->size()) {
      const size_t found = text.rfind(*separator, end - separator->size());
      if (found == std::string_view::npos) break;
      parts.push_back({found + separator->size(), end});
      end = found;
      if (max_splits > 0) --max_splits;
    }
    parts.push_back({0, end});
  } else {
    while (true) {
      end = StripRange(text.substr(0, end), nullptr, false, true).end;
      if (end == 0) break;
      if (max_splits == 0) {
        parts.push_back({0, end});
        break;
      }
      size_t begin = end;
      while (begin > 0) {
        size_t previous = begin;
        if (IsWhitespace(DecodeBackwards(text, previous))) break;
        begin = previous;
      }
      parts.push_back({begin, end});
      end = begin;
      if (max_splits > 0) --max_splits;
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<ByteRange> SplitLineRanges(std::string_view text, bool keep_ends) {
  std::vector<ByteRange> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t code_point = DecodeCodePoint(text, at);
    if (!IsLineEnd(code_point)) continue;
    if (code_point == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back({begin, keep_ends ? at : end});
    begin = at;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

bool ReplaceText(const Text& text, const Text& old_piece, const Text& new_piece, int64_t max_count, size_t size_limit,
                 Text& result) {
  std::vector<ByteRange> matches;
  const std::string& bytes = text.bytes;
  for (size_t at = 0; max_count < 0 || static_cast<int64_t>(matches.size()) < max_count;) {
    if (old_piece.bytes.empty()) {
      if (at > bytes.size()) break;
      matches.push_back({at, at});
      if (at == bytes.size()) break;
      DecodeCodePoint(bytes, at);
    } else {
      const size_t found = bytes.find(old_piece.bytes, at);
      if (found == std::string::npos) break;
      at = found + old_piece.bytes.size();
      matches.push_back({found, at});
    }
  }
  const size_t kept = bytes.size() - matches.size() * old_piece.bytes.size();
  if (!matches.empty() && new_piece.bytes.size() > size_limit / matches.size()) return false;
  if (kept + matches.size() * new_piece.bytes.size() > size_limit) return false;
  TextBuilder builder;
  size_t copied = 0;
  for (const ByteRange& match : matches) {
    builder.Append(text, copied, match.begin);
    builder.Append(new_piece);
    copied = match.end;
  }
  builder.Append(text, copied, bytes.size());
  result = builder.Build();
  return true;
}

Text ChangeCase(const Text& text, LetterCase letter_case) {
  TextBuilder builder;
  bool after_letter = false;
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t begin = at;
    const char32_t code_point = DecodeCodePoint(text.bytes, at);
    const bool cased = utf8proc_tolower(code_point) != static_cast<int32_t>(code_point) ||
                       utf8proc_toupper(code_point) != static_cast<int32_t>(code_point) || code_point == 0xDF;
    bool upper = false;
    switch (letter_case) {
      case LetterCase::kUpper:
        upper = true;
        break;
      case LetterCase::kLower:
      case LetterCase::kFold:
        upper = false;
        break;
      case LetterCase::kTitle:
        upper = !after_letter;
        break;
      case LetterCase::kCapitalize:
        upper = begin == 0;
        break;
      case LetterCase::kSwap:
        upper = utf8proc_toupper(code_point) != static_cast<int32_t>(code_point);
        break;
    }
    after_letter = cased;
    std::string changed;
    if (code_point == 0xDF && (upper || letter_case == LetterCase::kFold)) {  // sharp s has no single capital in str
      changed = letter_case == LetterCase::kUpper || letter_case == LetterCase::kSwap ? "SS"
                : letter_case == LetterCase::kFold                                    ? "ss"
                                                                                      : "Ss";
    } else if (code_point == 0x130 && !upper) {  // capital i with dot lowers to two code points
      changed = "i\xCC\x87";
    } else {
      AppendUtf8(static_cast<char32_t>(upper ? utf8proc_toupper(code_point) : utf8proc_tolower(code_point)), changed);
    }
    builder.Append(changed, text.IsUser(begin));
  }
  return builder.Build();
}

}  // namespace swiftlet::jinja
