#include "services/text/encode/token_vocabulary.h"

#include <algorithm>

#include "engine/base/check.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {

TokenEntry TokenVocabulary::Token(int32_t id) const {
  CHECK(id >= 0 && id < size()) << "id " << id << " of " << size();
  const Entry& entry = entries_[static_cast<size_t>(id)];
  return {std::string_view(bytes_).substr(entry.offset, entry.length), entry.is_special, entry.is_byte_fallback};
}

void TokenVocabulary::Set(int32_t id, const TokenEntry& entry) {
  CHECK(id >= 0) << "id " << id;
  if (id >= size()) entries_.resize(static_cast<size_t>(id) + 1);
  entries_[static_cast<size_t>(id)] = {static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(entry.bytes.size()),
                                       entry.is_special, entry.is_byte_fallback};
  bytes_.append(entry.bytes);
}

void TokenVocabulary::Reserve(size_t tokens, size_t bytes) {
  entries_.reserve(tokens);
  bytes_.reserve(bytes);
}

std::string TokenVocabulary::Decode(absl::Span<const int32_t> ids, bool skip_special) const {
  std::string text;
  std::string raw;  // kMetaspace: byte-fallback tokens not yet joined
  const auto flush = [&] {
    if (IsValidUtf8(raw)) {
      text.append(raw);
    } else {
      for (size_t i = 0; i < raw.size(); ++i) text.append("\xEF\xBF\xBD");
    }
    raw.clear();
  };
  bool is_first = true;
  for (const int32_t id : ids) {
    const TokenEntry token = Token(id);
    if (token.bytes.empty() || (skip_special && token.is_special)) continue;
    std::string_view bytes = token.bytes;
    if (rules_.kind == JoinRules::Kind::kByteLevel || token.is_byte_fallback) {
      raw.append(bytes);
      is_first = false;
      continue;
    }
    flush();
    if (rules_.leading_space == JoinRules::LeadingSpace::kStripFirstToken && is_first) {
      bytes.remove_prefix(std::min(bytes.find_first_not_of(' '), bytes.size()));
    }
    if (rules_.leading_space == JoinRules::LeadingSpace::kStripEachToken && text.empty() && !token.is_special &&
        bytes.starts_with(' ')) {
      bytes.remove_prefix(1);
    }
    text.append(bytes);
    is_first = false;
  }
  if (rules_.kind == JoinRules::Kind::kByteLevel) {
    AppendLossyUtf8(raw, text);
  } else {
    flush();
  }
  if (rules_.leading_space == JoinRules::LeadingSpace::kStripOne && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

}  // namespace swiftlet
