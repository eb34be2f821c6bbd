// Loops that are split over the pool only when that pays.
#pragma once

#include <cstdint>

#include "engine/base/thread_pool.h"

namespace swiftlet::simd {

// About 3 us of work for one core, in nanoseconds: handing work to another thread and back costs about one.
inline constexpr double kMinParallelNs = 3000;

// body(task) for all tasks; on the calling thread alone when `estimated_ns` of work is not worth a second one.
template <typename Body>
void ParallelFor(ThreadPool& pool, int64_t num_tasks, double estimated_ns, const Body& body) {
  if (estimated_ns < kMinParallelNs) {
    for (int64_t task = 0; task < num_tasks; ++task) body(task);
  } else {
    pool.Run(num_tasks, body);
  }
}

}  // namespace swiftlet::simd
