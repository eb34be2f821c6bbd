// The clock of every figure: nanoseconds of the steady clock, which Asio's timers follow too.
#pragma once

#include <chrono>
#include <cstdint>

namespace swiftlet::bench {

inline int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

inline std::chrono::steady_clock::time_point TimeOf(int64_t now_ns) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(now_ns));
}

}  // namespace swiftlet::bench
