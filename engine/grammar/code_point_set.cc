#include "engine/grammar/code_point_set.h"

#include <algorithm>

namespace swiftlet {
namespace {

using Node = GrammarBuilder::Node;

constexpr uint32_t kLast = 0x10FFFF;

std::string EscapeOf(uint32_t code_point) {
  switch (code_point) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  if (code_point >= 0x20) return "";
  constexpr char kHex[] = "0123456789abcdef";
  return {'\\', 'u', '0', '0', kHex[code_point >> 4], kHex[code_point & 15]};
}

int EncodedLength(uint32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

uint8_t EncodedByte(uint32_t code_point, int length, int index) {
  const uint32_t bits = code_point >> (6 * (length - 1 - index));
  if (index > 0) return static_cast<uint8_t>(0x80 | (bits & 0x3F));
  constexpr uint8_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  return static_cast<uint8_t>(kLead[length] | bits);
}

// [low, high], all of one encoded length, as ranges of bytes: cut until all bytes but the first that differ are whole.
void AddUtf8(GrammarBuilder& builder, uint32_t low, uint32_t high, Node next, std::vector<Grammar::Edge>& edges) {
  const int length = EncodedLength(low);
  for (int i = 1; i < length; ++i) {
    const uint32_t tail = (uint32_t{1} << (6 * i)) - 1;
    if ((low & ~tail) == (high & ~tail)) continue;
    if ((low & tail) != 0) {
      AddUtf8(builder, low, low | tail, next, edges);
      AddUtf8(builder, (low | tail) + 1, high, next, edges);
      return;
    }
    if ((high & tail) != tail) {
      AddUtf8(builder, low, (high & ~tail) - 1, next, edges);
      AddUtf8(builder, high & ~tail, high, next, edges);
      return;
    }
  }
  for (int i = length - 1; i > 0; --i) {
    next = builder.Range(EncodedByte(low, length, i), EncodedByte(high, length, i), next);
  }
  edges.push_back({EncodedByte(low, length, 0), EncodedByte(high, length, 0), next});
}

}  // namespace

CodePointSet::CodePointSet(std::initializer_list<Range> ranges) : ranges_(ranges) {
  Normalize();
}

CodePointSet CodePointSet::All() {
  return {{0, kLast}};
}

void CodePointSet::Add(const std::vector<Range>& ranges) {
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
  Normalize();
}

void CodePointSet::Normalize() {
  std::vector<Range> pieces;
  for (const auto& [low, high] : ranges_) {
    if (low < 0xD800) pieces.emplace_back(low, std::min(high, uint32_t{0xD7FF}));
    if (high > 0xDFFF) pieces.emplace_back(std::max(low, uint32_t{0xE000}), std::min(high, kLast));
  }
  std::sort(pieces.begin(), pieces.end());
  ranges_.clear();
  for (const Range& piece : pieces) {
    if (!ranges_.empty() && piece.first <= ranges_.back().second + 1) {
      ranges_.back().second = std::max(ranges_.back().second, piece.second);
    } else {
      ranges_.push_back(piece);
    }
  }
}

CodePointSet CodePointSet::Complement() const {
  CodePointSet result;
  uint32_t next = 0;
  for (const auto& [low, high] : ranges_) {
    if (low > next) result.ranges_.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= kLast) result.ranges_.emplace_back(next, kLast);
  result.Normalize();
  return result;
}

Node CanonicalCharacter(GrammarBuilder& builder, const CodePointSet& set, Node next) {
  std::vector<Grammar::Edge> edges;
  std::vector<std::string> escapes;
  for (const auto& [low, high] : set.ranges()) {
    uint32_t begin = low;  // of what needs no escape and has one encoded length
    for (uint32_t code_point = low; code_point <= std::min(high, uint32_t{'\\'}); ++code_point) {
      if (const std::string escape = EscapeOf(code_point); !escape.empty()) {
        if (begin < code_point)
          edges.push_back({static_cast<uint8_t>(begin), static_cast<uint8_t>(code_point - 1), next});
        escapes.push_back(escape.substr(1));
        begin = code_point + 1;
      }
    }
    for (const uint32_t last : {uint32_t{0x7F}, uint32_t{0x7FF}, uint32_t{0xFFFF}, kLast}) {
      if (begin > high) break;
      if (begin > last) continue;
      AddUtf8(builder, begin, std::min(high, last), next, edges);
      begin = last + 1;
    }
  }
  if (!escapes.empty()) edges.push_back({'\\', '\\', builder.OneOf(escapes, next)});
  return builder.Bytes(std::move(edges));
}

uint32_t TakeCodePoint(std::string_view* text) {
  const auto lead = static_cast<uint8_t>(text->front());
  const size_t length = std::min<size_t>(lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4, text->size());
  uint32_t code_point = length == 1 ? lead : lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) code_point = code_point << 6 | (static_cast<uint8_t>((*text)[i]) & 0x3F);
  text->remove_prefix(length);
  return code_point;
}

std::string CanonicalString(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const std::string escape = EscapeOf(static_cast<uint8_t>(c));
    if (escape.empty()) {
      result += c;
    } else {
      result += escape;
    }
  }
  return result + '"';
}

}  // namespace swiftlet
