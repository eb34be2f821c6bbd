#include "engine/grammar/grammar_vocabulary.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

namespace swiftlet {
namespace {

constexpr size_t kMaxTokenBytes = 4096;

// Of UTF-8 that is well formed and holds no `"`, no `\` and no control character.
bool IsPlain(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  size_t i = 0;
  while (i < text.size()) {
    const uint8_t lead = byte(i);
    if (lead < 0x80) {
      if (lead < 0x20 || lead == '"' || lead == '\\') return false;
      ++i;
      continue;
    }
    const int more = lead >= 0xC2 && lead <= 0xDF   ? 1
                     : lead >= 0xE0 && lead <= 0xEF ? 2
                     : lead >= 0xF0 && lead <= 0xF4 ? 3
                                                    : 0;
    if (more == 0) return false;
    const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;  // of the second byte
    const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(i + 1) < low || byte(i + 1) > high) return false;
    for (int j = 2; j <= more; ++j) {
      if ((byte(i + j) & 0xC0) != 0x80) return false;
    }
    i += 1 + more;
  }
  return true;
}

std::vector<int32_t> TextIds(std::span<const std::string> bytes, bool with_plain) {
  std::vector<int32_t> ids;
  for (size_t id = 0; id < bytes.size(); ++id) {
    if (!bytes[id].empty() && (with_plain || !IsPlain(bytes[id]))) ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

}  // namespace

TokenTree::TokenTree(std::vector<int32_t> ids, std::span<const std::string> bytes) : tokens_(std::move(ids)) {
  std::sort(tokens_.begin(), tokens_.end(), [&](int32_t one, int32_t other) {
    return bytes[one] != bytes[other] ? bytes[one] < bytes[other] : one < other;
  });
  std::vector<uint32_t> path;  // nodes from the top to the token before
  std::string_view before;
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
  };
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view text = bytes[tokens_[i]];
    const size_t common = std::mismatch(before.begin(), before.end(), text.begin(), text.end()).first - before.begin();
    close(common);
    for (size_t at = common; at < text.size(); ++at) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({.end = 0,
                        .first_token = static_cast<uint32_t>(i),
                        .depth = static_cast<uint16_t>(at + 1),
                        .byte = static_cast<uint8_t>(text[at])});
    }
    max_depth_ = std::max(max_depth_, text.size());
    before = text;
  }
  close(0);
  const auto num_tokens = static_cast<uint32_t>(tokens_.size());
  tokens_.push_back(0);
  nodes_.push_back({.end = static_cast<uint32_t>(nodes_.size() + 1), .first_token = num_tokens, .depth = 0, .byte = 0});
  nodes_.shrink_to_fit();
}

GrammarVocabulary::GrammarVocabulary(std::vector<std::string> bytes, size_t width, std::vector<int32_t> end_ids)
    : bytes_(std::move(bytes)),
      width_(width),
      end_ids_(std::move(end_ids)),
      plain_mask_(mask_words(), 0),
      all_(TextIds(bytes_, true), bytes_),
      not_plain_(TextIds(bytes_, false), bytes_) {
  for (size_t id = 0; id < bytes_.size(); ++id) {
    const std::string& text = bytes_[id];
    if (text.empty() || !IsPlain(text)) continue;
    plain_mask_[id / 64] |= uint64_t{1} << (id % 64);
    const auto characters = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    plain_tokens_.push_back({static_cast<uint32_t>(characters), static_cast<int32_t>(id)});
  }
  std::stable_sort(plain_tokens_.begin(), plain_tokens_.end(),
                   [](const PlainToken& one, const PlainToken& other) { return one.characters > other.characters; });
}

absl::StatusOr<std::shared_ptr<const GrammarVocabulary>> GrammarVocabulary::Create(std::vector<std::string> bytes,
                                                                               size_t width,
                                                                               std::vector<int32_t> end_ids) {
  if (bytes.empty() || bytes.size() > width) {
    return absl::InvalidArgumentError(absl::StrCat("a vocabulary of ", bytes.size(), " tokens for logits of ", width));
  }
  for (size_t id = 0; id < bytes.size(); ++id) {
    if (bytes[id].size() > kMaxTokenBytes) {
      return absl::InvalidArgumentError(absl::StrCat("token ", id, " has ", bytes[id].size(), " bytes"));
    }
  }
  for (const int32_t id : end_ids) {
    if (id < 0 || static_cast<size_t>(id) >= width) return absl::InvalidArgumentError(absl::StrCat("end id ", id));
    if (static_cast<size_t>(id) < bytes.size()) bytes[id].clear();  // it ends the text, it is none
  }
  return std::shared_ptr<const GrammarVocabulary>(new GrammarVocabulary(std::move(bytes), width, std::move(end_ids)));
}

bool GrammarVocabulary::IsEnd(int32_t id) const {
  return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end();
}

size_t GrammarVocabulary::size_bytes() const {
  size_t total = sizeof(*this) + all_.bytes() + not_plain_.bytes() + plain_mask_.size() * sizeof(uint64_t) +
                 plain_tokens_.capacity() * sizeof(PlainToken);
  for (const std::string& token : bytes_) total += sizeof(token) + (token.capacity() > 15 ? token.capacity() : 0);
  return total;
}

}  // namespace swiftlet
