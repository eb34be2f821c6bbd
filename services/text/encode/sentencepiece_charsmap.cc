#include "services/text/encode/sentencepiece_charsmap.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/base/string_view.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxUnits = size_t{1} << 20;  // the largest map in use, nmt_nfkc_cf, has some 2^16
constexpr int kMaxMatches = 32;                // that the library has room for at one position

absl::Status Broken(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("not a sentencepiece model: precompiled_charsmap: ", ToAbsl(what)));
}

// A unit of the double array (github.com/s-yata/darts-clone): the label of the edge that leads to it, whether a text is
// found there, and where its children stand: at (own place ^ offset) ^ label.
class Unit {
 public:
  explicit Unit(uint32_t bits) : bits_(bits) {}
  bool IsReachedBy(uint32_t label) const { return (bits_ & 0x800000FF) == label; }
  bool has_value() const { return (bits_ >> 8 & 1) != 0; }
  uint32_t offset() const { return bits_ >> 10 << ((bits_ & 1 << 9) >> 6); }
  uint32_t value() const { return bits_ & 0x7FFFFFFF; }

 private:
  uint32_t bits_;
};

// Visits every place where children may stand, once, parents last.
class TrieCheck {
 public:
  TrieCheck(std::vector<uint32_t> units, size_t num_texts_bytes)
      : units_(std::move(units)), num_texts_bytes_(num_texts_bytes), matches_(units_.size(), kNotSeen) {}

  absl::Status Run() {
    std::vector<Visit> open;
    if (!Enter(Unit(units_[0]).offset(), open)) return Broken("the trie leads out of itself");
    while (!open.empty()) {
      Visit& visit = open.back();
      if (visit.label == 256) {
        matches_[visit.base] = visit.matches;
        open.pop_back();
        continue;
      }
      const uint32_t place = visit.base ^ visit.label;
      const Unit unit(units_[place]);
      if (!unit.IsReachedBy(visit.label)) {
        ++visit.label;
        continue;
      }
      const uint32_t below = place ^ unit.offset();
      if (below < units_.size() && matches_[below] == kOpen) return Broken("the trie leads in a circle");
      if (below >= units_.size() || matches_[below] == kNotSeen) {
        if (!Enter(below, open)) return Broken("the trie leads out of itself");
        continue;  // and comes back here; `visit` may have moved
      }
      if (unit.has_value() && Unit(units_[below]).value() >= num_texts_bytes_) return Broken("a text lies outside");
      visit.matches = std::max(visit.matches, matches_[below] + (unit.has_value() ? 1 : 0));
      if (visit.matches > kMaxMatches) return Broken("over 32 texts on one way");
      ++visit.label;
    }
    return absl::OkStatus();
  }

 private:
  static constexpr int kNotSeen = -1;
  static constexpr int kOpen = -2;
  struct Visit {
    uint32_t base;
    uint32_t label;
    int matches;  // on the longest way from here
  };

  // All 256 children of `base` are in the array, or it is not entered.
  bool Enter(uint32_t base, std::vector<Visit>& open) {
    if ((base | 0xFF) >= units_.size()) return false;
    matches_[base] = kOpen;
    open.push_back({base, 0, 0});
    return true;
  }

  const std::vector<uint32_t> units_;
  const size_t num_texts_bytes_;
  std::vector<int> matches_;  // by base
};

}  // namespace

absl::Status CheckSentencePieceCharsMap(std::string_view map) {
  static_assert(std::endian::native == std::endian::little);
  if (map.empty()) return absl::OkStatus();
  uint32_t trie_bytes = 0;
  if (map.size() < sizeof(trie_bytes)) return Broken("too short");
  std::memcpy(&trie_bytes, map.data(), sizeof(trie_bytes));
  map.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes > map.size() || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0)
    return Broken("a broken length");
  if (trie_bytes / sizeof(uint32_t) > kMaxUnits) return Broken("over 4 MiB");
  const std::string_view texts = map.substr(trie_bytes);
  if (texts.empty() || texts.back() != '\0' || !IsValidUtf8(texts)) return Broken("broken texts");
  std::vector<uint32_t> units(trie_bytes / sizeof(uint32_t));
  std::memcpy(units.data(), map.data(), trie_bytes);
  return TrieCheck(std::move(units), texts.size()).Run();
}

}  // namespace swiftlet
