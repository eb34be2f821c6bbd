// The random numbers of sampling: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011),
// a pure function of key and counter, so that a draw depends on nothing that ran before it.
//
// The noise of one token is 40 bits, in two parts so that a kernel draws the second for the few tokens that can win:
//   coarse  c = byte (id mod 16) of Philox(key, {id / 16, position, choice, 0}); bytes in little-endian order, word by
//   word fine    f = word (id mod 4)  of Philox(key, {id / 4,  position, choice, 1}) v = (2^32 c + f + 0.5) / 2^40 in
//   (0, 1);   Gumbel = -ln(-ln(1 - v))
// with key = {seed mod 2^32, seed / 2^32}. Small v is large noise.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace swiftlet {

using PhiloxBlock = std::array<uint32_t, 4>;

inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53, kPhiloxMultiplier1 = 0xCD9E8D57;
inline constexpr uint32_t kPhiloxKeyStep0 = 0x9E3779B9, kPhiloxKeyStep1 = 0xBB67AE85;
inline constexpr int kPhiloxRounds = 10;

inline PhiloxBlock Philox(uint64_t key, PhiloxBlock counter) {
  auto key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = uint64_t{kPhiloxMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kPhiloxMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  return counter;
}

// Which draw: the token at `position` (prompt included) of one choice of a request.
struct DrawKey {
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint32_t position = 0;
};

inline uint32_t CoarseNoise(const DrawKey& key, uint32_t id) {
  const PhiloxBlock block = Philox(key.seed, {id / 16, key.position, key.choice, 0});
  return block[id % 16 / 4] >> (8 * (id % 4)) & 0xff;
}

inline uint32_t FineNoise(const DrawKey& key, uint32_t id) {
  return Philox(key.seed, {id / 4, key.position, key.choice, 1})[id % 4];
}

inline double GumbelNoise(uint32_t coarse, uint32_t fine) {
  const double v = (static_cast<double>(uint64_t{coarse} << 32 | fine) + 0.5) * 0x1p-40;
  return -std::log(-std::log1p(-v));
}

}  // namespace swiftlet
