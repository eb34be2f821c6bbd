// Streams must not care how they are cut: helpers that cut a sequence in every way, or at random.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace swiftlet {

// Calls body(pieces) for every way to cut [0, size) in two or more non-empty pieces, and for the whole: 2^(size-1)
// ways. `pieces` are the ends of the pieces, ascending, the last one `size`.
template <typename Body>
void ForEveryCut(size_t size, Body body) {
  for (uint32_t mask = 0; mask < (uint32_t{1} << (size - 1)); ++mask) {
    std::vector<size_t> ends;
    for (size_t i = 1; i < size; ++i) {
      if ((mask >> (i - 1)) & 1) ends.push_back(i);
    }
    ends.push_back(size);
    body(ends);
  }
}

inline std::vector<size_t> RandomCut(size_t size, std::mt19937& random) {
  std::vector<size_t> ends;
  size_t end = 0;
  while (end < size) {
    end = std::min(size, end + 1 + random() % 5);
    ends.push_back(end);
  }
  return ends;
}

}  // namespace swiftlet
