#include "engine/weights/content_hash.h"

#include <cstring>

namespace swiftlet {
namespace {

constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio, odd

uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 32)) * kMultiplier;
  value = (value ^ (value >> 29)) * kMultiplier;
  return value ^ (value >> 32);
}

uint64_t Word(const std::byte* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, 8);
  return word;
}

}  // namespace

uint64_t ContentHash(std::span<const std::byte> bytes, uint64_t seed) {
  // Four chains, so that the multiplications overlap: 32 bytes in about 5 cycles.
  uint64_t chains[4] = {seed, seed + 1, seed + 2, seed + 3};
  size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    for (int i = 0; i < 4; ++i) {
      const uint64_t value = (chains[i] ^ Word(bytes.data() + at + 8 * i)) * kMultiplier;
      chains[i] = value ^ (value >> 32);
    }
  }
  for (; at < bytes.size(); ++at) chains[0] = (chains[0] ^ static_cast<uint64_t>(bytes[at])) * kMultiplier;
  uint64_t hash = Mix(seed + bytes.size());
  for (uint64_t chain : chains) hash = Mix(hash ^ chain);
  return hash;
}

}  // namespace swiftlet
