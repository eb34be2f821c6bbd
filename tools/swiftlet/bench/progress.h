// What a thread of a run tells the live line while it goes on. Written by that thread alone, read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace swiftlet::bench {

struct alignas(64) Progress {
  std::atomic<int64_t> begun{0};
  std::atomic<int64_t> ended{0};
  std::atomic<int64_t> not_completed{0};  // of those: failed and refused
  std::atomic<int64_t> tokens{0};         // events with text; over gRPC tokens

  // One writer: no locked instruction.
  static void Add(std::atomic<int64_t>& count, int64_t more) {
    count.store(count.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
};

}  // namespace swiftlet::bench
