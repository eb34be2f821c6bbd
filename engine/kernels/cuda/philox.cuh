// The noise of engine/kernels/philox.h on the device, bit by bit the same numbers. Included by .cu files alone.
#pragma once

#include <cstdint>

#include "engine/kernels/philox.h"

namespace swiftlet::cuda {

__device__ __forceinline__ uint4 DevicePhilox(uint64_t seed, uint4 counter) {
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma unroll
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = uint64_t{kPhiloxMultiplier0} * counter.x;
    const uint64_t product1 = uint64_t{kPhiloxMultiplier1} * counter.z;
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter.y ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter.w ^ key1, static_cast<uint32_t>(product0)};
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  return counter;
}

__device__ __forceinline__ uint32_t WordOf(const uint4& block, uint32_t index) {
  return index == 0 ? block.x : index == 1 ? block.y : index == 2 ? block.z : block.w;
}

// Coarse bytes of the ids [16 group, 16 group + 16), in little-endian order.
__device__ __forceinline__ uint4 CoarseBytes(const DrawKey& key, uint32_t group) {
  return DevicePhilox(key.seed, {group, key.position, key.choice, 0});
}

__device__ __forceinline__ uint32_t DeviceCoarseNoise(const DrawKey& key, uint32_t id) {
  return WordOf(CoarseBytes(key, id / 16), id / 4 % 4) >> (8 * (id % 4)) & 0xff;
}

__device__ __forceinline__ uint32_t DeviceFineNoise(const DrawKey& key, uint32_t id) {
  return WordOf(DevicePhilox(key.seed, {id / 4, key.position, key.choice, 1}), id % 4);
}

// In float32, within 4e-6 of the formula up to its largest value of 28: log1p for small v, the exact 1 - v for others.
__device__ __forceinline__ float DeviceGumbel(uint32_t coarse, uint32_t fine) {
  const uint64_t bits = uint64_t{coarse} << 32 | fine;
  const float v = (static_cast<float>(bits) + 0.5f) * 0x1p-40f;
  const float rest = (static_cast<float>((uint64_t{1} << 40) - 1 - bits) + 0.5f) * 0x1p-40f;
  return -logf(coarse < 128 ? -log1pf(-v) : -logf(rest));
}

}  // namespace swiftlet::cuda
