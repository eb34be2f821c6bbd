// Linear layers through cuBLASLt: one plan for each (epilogue, shape, rows), made when first asked for and kept.
//
// Owned by LinearKernels; one thread at a time. Calls share one workspace: one stream at a time.
#pragma once

#include <absl/status/statusor.h>
#include <cuda_runtime_api.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/cuda/device_buffer.h"
#include "engine/kernels/cuda/cublaslt_library.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/linear_table.h"

namespace swiftlet::cuda {

class CublasLtLinear {
 public:
  static constexpr int64_t kWorkspaceBytes = 32 << 20;

  static absl::StatusOr<std::unique_ptr<CublasLtLinear>> Create();
  ~CublasLtLinear();
  CublasLtLinear(const CublasLtLinear&) = delete;
  CublasLtLinear& operator=(const CublasLtLinear&) = delete;

  // Up to 64 algorithms, the likely best first. The library itself gives no more than eight or so.
  absl::StatusOr<std::vector<CublasLtAlgorithm>> Candidates(const CublasLtProblem& problem);

  // Takes `algorithm` for the problem from now on; false where this version of the library or this device refuses it.
  // Without one, the first heuristic.
  absl::StatusOr<bool> Choose(const CublasLtProblem& problem, const std::optional<CublasLtAlgorithm>& algorithm);
  bool Chosen(const CublasLtProblem& problem) const { return plans_.contains(problem); }

  // output[r, o] = sum_k input[r, k] weight[o, k] as float16; beyond its range infinity, which the logits show.
  // Chosen(problem).
  absl::Status Store(cudaStream_t stream, const LinearArgs& args, __half* output);
  absl::Status AddTo(cudaStream_t stream, const LinearArgs& args, float scale, const float* bias, float* residual);

  size_t version() const { return library_.get_version(); }

 private:
  struct Plan {
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t weight = nullptr, input = nullptr, output = nullptr;
    cublasLtMatmulAlgo_t algorithm = {};
  };

  CublasLtLinear(CublasLtLibrary library, cublasLtHandle_t handle, DeviceBuffer workspace)
      : library_(library), handle_(handle), workspace_(std::move(workspace)) {}
  absl::StatusOr<Plan> MakePlan(const CublasLtProblem& problem);
  void Destroy(Plan& plan);
  absl::StatusOr<std::vector<cublasLtMatmulHeuristicResult_t>> Heuristics(const Plan& plan, int count);
  std::optional<cublasLtMatmulAlgo_t> Rebuild(const Plan& plan, const CublasLtProblem& problem,
                                              const CublasLtAlgorithm& algorithm);
  absl::Status Run(cudaStream_t stream, const CublasLtProblem& problem, const LinearArgs& args, float alpha, float beta,
                   void* output);

  CublasLtLibrary library_;
  cublasLtHandle_t handle_;
  DeviceBuffer workspace_;
  std::map<CublasLtProblem, Plan> plans_;
};

}  // namespace swiftlet::cuda
