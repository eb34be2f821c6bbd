// The search for cuBLASLt's best algorithm: every one that its heuristics offer, timed over rotated weights.
#pragma once

#include <absl/status/statusor.h>

#include "engine/kernels/cuda/linear_cublaslt.h"
#include "tools/cc/kernel_bench/linear_timer.h"

namespace swiftlet {

struct LinearSearchResult {
  double first_us = 0;  // of the first heuristic
  double best_us = 0;
  cuda::CublasLtAlgorithm best = {};
  int tried = 0;
  int refused = 0;  // named by the heuristics, but not to be had from its configuration or not running
};

// Leaves the best algorithm chosen.
absl::StatusOr<LinearSearchResult> SearchCublasLt(const LinearTimer& timer, cuda::CublasLtLinear& cublaslt,
                                                  const cuda::CublasLtProblem& problem);

}  // namespace swiftlet
