// The merge rules of a BPE vocabulary: (left id, right id) -> (rank, merged id). Filled by the loader, const afterwards.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace swiftlet {

struct Merge {
  static constexpr uint32_t kNever = ~uint32_t{0};
  uint32_t rank = kNever;  // lower merges first
  int32_t id = -1;
};

class MergeTable {
 public:
  explicit MergeTable(size_t merges) : slots_(std::bit_ceil(merges * 2 + 2)), mask_(slots_.size() - 1) {}

  // At most as many pairs as the constructor was told. A pair that is there already takes the new rule.
  void Insert(int32_t left, int32_t right, Merge merge) {
    const uint64_t key = Key(left, right);
    size_t at = Hash(key) & mask_;
    while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask_;
    slots_[at] = {key, merge};
  }

  // rank kNever when the two do not merge.
  Merge Find(int32_t left, int32_t right) const {
    const uint64_t key = Key(left, right);
    for (size_t at = Hash(key) & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return slot.merge;
      if (slot.key == kEmpty) return {};
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  static uint64_t Hash(uint64_t key) {
    const unsigned __int128 product = static_cast<unsigned __int128>(key ^ 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  uint64_t mask_;
};

}  // namespace swiftlet
