// A fast 64-bit hash of weights, to tell apart two checkpoints of the same shapes in a handshake. Not cryptographic:
// it finds mistakes, not forgers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace swiftlet {

uint64_t ContentHash(std::span<const std::byte> bytes, uint64_t seed);

}  // namespace swiftlet
