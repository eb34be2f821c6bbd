// The mixing step of SplitMix64 (Steele, Lea and Flood 2014): a bijection in which every input bit reaches every output
// bit. The same in every process and build, unlike a hash function with a seed. Pure.
#pragma once

#include <cstdint>

namespace swiftlet {

constexpr uint64_t SplitMix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace swiftlet
