// SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed hash
// whose collisions nobody without the key can construct, so that a prompt cannot be made to look like another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace swiftlet {

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};

struct HashKey {
  uint64_t low = 0, high = 0;
};

// A key that differs in every process.
HashKey RandomHashKey();

Hash128 KeyedHash(const HashKey& key, std::span<const std::byte> bytes);

}  // namespace swiftlet
