// The merge rules of a BPE vocabulary: (left id, right id) -> rank, and rank -> merged id. Filled by the loader, const
// afterwards. One 8-byte slot a rule keeps the rules of a 150,000-token vocabulary within 2 to 4 MB, since a look-up
// costs little besides its cache miss.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace swiftlet {

class MergeTable {
 public:
  static constexpr uint32_t kNever = ~uint32_t{0};  // the rank of a pair that does not merge
  static constexpr int kIdBits = 21;
  static constexpr size_t kMaxMerges = (size_t{1} << (64 - 2 * kIdBits)) - 1;

  // `merges` <= kMaxMerges.
  explicit MergeTable(size_t merges)
      : slots_(std::bit_ceil(merges + merges / 3 + 2), kEmpty),
        mask_(slots_.size() - 1),
        filter_(std::max<size_t>(slots_.size() / 8, 1)),
        filter_mask_(filter_.size() * 64 - 1) {
    merged_.reserve(merges);
  }

  // Adds the rule of the next rank, counted from 0. A pair that has a rule already takes the new one.
  void Append(int32_t left, int32_t right, int32_t merged) {
    const uint64_t key = Key(left, right);
    const uint64_t hash = Hash(key);
    filter_[(hash & filter_mask_) / 64] |= uint64_t{1} << (hash % 64);
    size_t at = hash & mask_;
    while (slots_[at] != kEmpty && slots_[at] >> kRankBits != key) at = (at + 1) & mask_;
    slots_[at] = key << kRankBits | merged_.size();
    merged_.push_back(merged);
  }

  // Lower ranks merge first; kNever when the two do not merge.
  uint32_t Rank(int32_t left, int32_t right) const {
    const uint64_t key = Key(left, right);
    const uint64_t hash = Hash(key);
    if ((filter_[(hash & filter_mask_) / 64] >> (hash % 64) & 1) == 0) return kNever;
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const uint64_t slot = slots_[at];
      if (slot == kEmpty) return kNever;
      if (slot >> kRankBits == key) return static_cast<uint32_t>(slot & ((uint64_t{1} << kRankBits) - 1));
    }
  }

  // What the pair of `rank` becomes.
  int32_t Merged(uint32_t rank) const { return merged_[rank]; }

 private:
  static constexpr int kRankBits = 64 - 2 * kIdBits;
  static constexpr uint64_t kEmpty = ~uint64_t{0};  // no rule: its rank would be kMaxMerges

  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << kIdBits | static_cast<uint32_t>(right);
  }
  static uint64_t Hash(uint64_t key) {
    const uint64_t product = (key + 1) * 0x9E3779B97F4A7C15u;
    return product >> 32 ^ product >> 12;
  }

  std::vector<uint64_t> slots_;  // pair, rank; a power of two of them, at most three quarters used
  uint64_t mask_;
  // One bit a hash, 8 times as many as slots: tells most pairs that do not merge from a table of the size of an L2
  // cache, without a miss in slots_.
  std::vector<uint64_t> filter_;
  uint64_t filter_mask_;
  std::vector<int32_t> merged_;  // by rank
};

}  // namespace swiftlet
