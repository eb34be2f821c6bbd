// From the bytes of a token to its id: open addressing over one arena, for look-ups in the tokenizer's inner loop.
// Filled by the loader, const afterwards.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

// A fast hash of a short string; not stable between versions, not for storage.
inline uint64_t HashBytes(std::string_view bytes) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15u;
  constexpr uint64_t kB = 0xD6E8FEB86659FD93u;
  const auto mix = [](uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t hash = mix(left ^ kA, kB);
  uint64_t a = 0;
  uint64_t b = 0;
  for (; left > 16; left -= 16, at += 16) {
    std::memcpy(&a, at, 8);
    std::memcpy(&b, at + 8, 8);
    hash = mix(a ^ hash, b ^ kB);
  }
  a = 0;
  b = 0;
  if (left >= 8) {
    std::memcpy(&a, at, 8);
    std::memcpy(&b, at + left - 8, 8);
  } else if (left >= 4) {
    uint32_t low = 0;
    uint32_t high = 0;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    a = low;
    b = high;
  } else if (left > 0) {
    a = static_cast<unsigned char>(at[0]) | static_cast<uint64_t>(static_cast<unsigned char>(at[left / 2])) << 8 |
        static_cast<uint64_t>(static_cast<unsigned char>(at[left - 1])) << 16;
  }
  return mix(a ^ hash ^ kA, b ^ kB);
}

class TokenTable {
 public:
  static constexpr int32_t kAbsent = -1;

  void Reserve(size_t tokens, size_t bytes);
  // False, with nothing changed, when these bytes are in the table already.
  bool Insert(std::string_view bytes, int32_t id);

  int32_t Find(std::string_view bytes) const { return Find(bytes, HashBytes(bytes)); }
  int32_t Find(std::string_view bytes, uint64_t hash) const {
    if (slots_.empty()) return kAbsent;
    const auto tag = static_cast<uint32_t>(hash >> 32);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id == kAbsent) return kAbsent;
      if (slot.tag == tag && slot.length == bytes.size() &&
          std::memcmp(arena_.data() + slot.offset, bytes.data(), bytes.size()) == 0) {
        return slot.id;
      }
    }
  }
  // Starts to load what Find will look at first.
  void Prefetch(uint64_t hash) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[hash & mask_]);
  }
  size_t size() const { return size_; }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t id = kAbsent;
    uint32_t offset = 0;  // into arena_
    uint32_t length = 0;
  };

  void Grow(size_t slots);

  std::vector<Slot> slots_;  // a power of two, at most three quarters full
  size_t mask_ = 0;
  size_t size_ = 0;
  std::string arena_;
};

}  // namespace swiftlet
