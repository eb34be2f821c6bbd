#include "tools/cc/kernel_bench/linear_search.h"

#include <optional>
#include <vector>

#include "engine/base/status_macros.h"

namespace swiftlet {

absl::StatusOr<LinearSearchResult> SearchCublasLt(const LinearTimer& timer, cuda::CublasLtLinear& cublaslt,
                                                  const cuda::CublasLtProblem& problem) {
  const auto run = [&](int call) {
    const cuda::LinearArgs args = {.input = timer.input(),
                                   .weight = {timer.Weight(problem.out_features, problem.in_features, call),
                                              problem.out_features, problem.in_features},
                                   .num_rows = problem.rows};
    if (problem.epilogue == cuda::CublasLtEpilogue::kStore) {
      return cublaslt.Store(timer.stream().get(), args, timer.output());
    }
    const float* bias = problem.epilogue == cuda::CublasLtEpilogue::kAddBias ? timer.bias() : nullptr;
    return cublaslt.AddTo(timer.stream().get(), args, 32.f, bias, timer.residual());
  };
  const int copies = timer.Copies(problem.out_features, problem.in_features);
  ASSIGN_OR_RETURN(const std::vector<cuda::CublasLtAlgorithm> candidates, cublaslt.Candidates(problem));
  LinearSearchResult result;
  std::optional<double> best_us;
  for (size_t i = 0; i < candidates.size(); ++i) {
    ASSIGN_OR_RETURN(const bool taken, cublaslt.Choose(problem, candidates[i]));
    const absl::StatusOr<double> us = taken ? timer.Microseconds(copies, run) : absl::UnimplementedError("refused");
    if (absl::IsDataLoss(us.status())) return us.status();
    if (!us.ok()) {
      ++result.refused;
      continue;
    }
    ++result.tried;
    if (i == 0) result.first_us = *us;
    if (!best_us.has_value() || *us < *best_us) {
      best_us = *us;
      result.best = candidates[i];
    }
  }
  if (!best_us.has_value()) return absl::UnimplementedError("no algorithm of cuBLASLt ran");
  result.best_us = *best_us;
  RETURN_IF_ERROR(cublaslt.Choose(problem, result.best).status());
  return result;
}

}  // namespace swiftlet
