#include "engine/kernels/cuda/linear_cublaslt.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace swiftlet::cuda {
namespace {

absl::Status Status(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  const std::string text = absl::StrCat(what, ": cuBLAS status ", static_cast<int>(status));
  return status == CUBLAS_STATUS_EXECUTION_FAILED ? absl::DataLossError(text) : absl::InternalError(text);
}

#define RETURN_IF_CUBLAS_ERROR(call) RETURN_IF_ERROR(Status((call), #call))

cudaDataType_t OutputType(CublasLtEpilogue epilogue) {
  return epilogue == CublasLtEpilogue::kStore ? CUDA_R_16F : CUDA_R_32F;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CublasLtLinear>> CublasLtLinear::Create() {
  ASSIGN_OR_RETURN(const CublasLtLibrary library, CublasLtLibrary::Open());
  ASSIGN_OR_RETURN(DeviceBuffer workspace, DeviceBuffer::Allocate(kWorkspaceBytes));
  cublasLtHandle_t handle = nullptr;
  RETURN_IF_CUBLAS_ERROR(library.create(&handle));
  return std::unique_ptr<CublasLtLinear>(new CublasLtLinear(library, handle, std::move(workspace)));
}

CublasLtLinear::~CublasLtLinear() {
  for (auto& [problem, plan] : plans_) Destroy(plan);
  library_.destroy(handle_);
}

void CublasLtLinear::Destroy(Plan& plan) {
  if (plan.operation != nullptr) library_.destroy_operation(plan.operation);
  for (cublasLtMatrixLayout_t layout : {plan.weight, plan.input, plan.output}) {
    if (layout != nullptr) library_.destroy_layout(layout);
  }
  plan = {};
}

// cuBLASLt's matrices are column-major: output^T [out, rows] = weight^T' [in, out]^T input^T [in, rows].
absl::StatusOr<CublasLtLinear::Plan> CublasLtLinear::MakePlan(const CublasLtProblem& problem) {
  Plan plan;
  const auto build = [&]() -> absl::Status {
    RETURN_IF_CUBLAS_ERROR(library_.create_operation(&plan.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    const cublasOperation_t transpose = CUBLAS_OP_T;
    RETURN_IF_CUBLAS_ERROR(
        library_.set_operation(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof(transpose)));
    if (problem.epilogue == CublasLtEpilogue::kAddBias) {
      const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
      const cudaDataType_t type = CUDA_R_32F;
      const void* any = workspace_.data();  // its alignment is what the heuristics look at
      RETURN_IF_CUBLAS_ERROR(
          library_.set_operation(plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof(epilogue)));
      RETURN_IF_CUBLAS_ERROR(
          library_.set_operation(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof(type)));
      RETURN_IF_CUBLAS_ERROR(
          library_.set_operation(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &any, sizeof(any)));
    }
    const uint64_t in = problem.in_features, out = problem.out_features, rows = problem.rows;
    RETURN_IF_CUBLAS_ERROR(library_.create_layout(&plan.weight, CUDA_R_16F, in, out, in));
    RETURN_IF_CUBLAS_ERROR(library_.create_layout(&plan.input, CUDA_R_16F, in, rows, in));
    RETURN_IF_CUBLAS_ERROR(library_.create_layout(&plan.output, OutputType(problem.epilogue), out, rows, out));
    return absl::OkStatus();
  };
  if (absl::Status status = build(); !status.ok()) {
    Destroy(plan);
    return status;
  }
  return plan;
}

absl::StatusOr<std::vector<cublasLtMatmulHeuristicResult_t>> CublasLtLinear::Heuristics(const Plan& plan, int count) {
  cublasLtMatmulPreference_t preference = nullptr;
  RETURN_IF_CUBLAS_ERROR(library_.create_preference(&preference));
  const size_t workspace_bytes = kWorkspaceBytes;
  std::vector<cublasLtMatmulHeuristicResult_t> results(count);
  int found = 0;
  absl::Status status = Status(library_.set_preference(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                       &workspace_bytes, sizeof(workspace_bytes)),
                               "cublasLtMatmulPreferenceSetAttribute");
  if (status.ok()) {
    status = Status(library_.get_heuristic(handle_, plan.operation, plan.weight, plan.input, plan.output, plan.output,
                                           preference, count, results.data(), &found),
                    "cublasLtMatmulAlgoGetHeuristic");
  }
  library_.destroy_preference(preference);
  RETURN_IF_ERROR(status);
  results.resize(found);
  std::erase_if(results, [](const auto& result) { return result.state != CUBLAS_STATUS_SUCCESS; });
  if (results.empty()) return absl::UnimplementedError("cuBLASLt has no algorithm for this linear layer");
  return results;
}

absl::StatusOr<std::vector<CublasLtAlgorithm>> CublasLtLinear::Candidates(const CublasLtProblem& problem) {
  ASSIGN_OR_RETURN(Plan plan, MakePlan(problem));
  const absl::StatusOr<std::vector<cublasLtMatmulHeuristicResult_t>> found = Heuristics(plan, 64);
  Destroy(plan);
  RETURN_IF_ERROR(found.status());
  std::vector<CublasLtAlgorithm> algorithms;
  for (const cublasLtMatmulHeuristicResult_t& result : *found) {
    CublasLtAlgorithm a = {};
    const auto get = [&](cublasLtMatmulAlgoConfigAttributes_t attribute, auto* value) {
      size_t written = 0;
      return Status(library_.get_config(&result.algo, attribute, value, sizeof(*value), &written),
                    "cublasLtMatmulAlgoConfigGetAttribute");
    };
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_ID, &a.id));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_TILE_ID, &a.tile));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &a.split_k));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &a.reduction_scheme));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, &a.swizzle));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, &a.custom_option));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_STAGES_ID, &a.stages));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, &a.inner_shape));
    RETURN_IF_ERROR(get(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, &a.cluster_shape));
    algorithms.push_back(a);
  }
  return algorithms;
}

std::optional<cublasLtMatmulAlgo_t> CublasLtLinear::Rebuild(const Plan& plan, const CublasLtProblem& problem,
                                                            const CublasLtAlgorithm& a) {
  cublasLtMatmulAlgo_t algorithm;
  const cudaDataType_t output = OutputType(problem.epilogue);
  if (library_.init_algorithm(handle_, CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16F, CUDA_R_16F, output, output, a.id,
                              &algorithm) != CUBLAS_STATUS_SUCCESS) {
    return std::nullopt;
  }
  const auto set = [&](cublasLtMatmulAlgoConfigAttributes_t attribute, const auto& value) {
    return library_.set_config(&algorithm, attribute, &value, sizeof(value)) == CUBLAS_STATUS_SUCCESS;
  };
  const bool good =
      set(CUBLASLT_ALGO_CONFIG_TILE_ID, a.tile) && set(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, a.split_k) &&
      set(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, a.reduction_scheme) &&
      set(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, a.swizzle) && set(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, a.custom_option) &&
      set(CUBLASLT_ALGO_CONFIG_STAGES_ID, a.stages) && set(CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, a.inner_shape) &&
      set(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, a.cluster_shape);
  if (!good) return std::nullopt;
  cublasLtMatmulHeuristicResult_t result = {};
  if (library_.check_algorithm(handle_, plan.operation, plan.weight, plan.input, plan.output, plan.output, &algorithm,
                               &result) != CUBLAS_STATUS_SUCCESS ||
      result.workspaceSize > static_cast<size_t>(kWorkspaceBytes)) {
    return std::nullopt;
  }
  return algorithm;
}

absl::StatusOr<bool> CublasLtLinear::Choose(const CublasLtProblem& problem,
                                            const std::optional<CublasLtAlgorithm>& algorithm) {
  ASSIGN_OR_RETURN(Plan plan, MakePlan(problem));
  if (algorithm.has_value()) {
    const std::optional<cublasLtMatmulAlgo_t> rebuilt = Rebuild(plan, problem, *algorithm);
    if (!rebuilt.has_value()) {
      Destroy(plan);
      return false;
    }
    plan.algorithm = *rebuilt;
  } else {
    const absl::StatusOr<std::vector<cublasLtMatmulHeuristicResult_t>> found = Heuristics(plan, 1);
    if (!found.ok()) {
      Destroy(plan);
      return found.status();
    }
    plan.algorithm = found->front().algo;
  }
  Plan& kept = plans_[problem];
  Destroy(kept);
  kept = plan;
  return true;
}

absl::Status CublasLtLinear::Run(cudaStream_t stream, const CublasLtProblem& problem, const LinearArgs& args,
                                 float alpha, float beta, void* output) {
  const auto found = plans_.find(problem);
  CHECK(found != plans_.end()) << "no plan for " << problem.out_features << " x " << problem.in_features << ", "
                               << problem.rows << " rows";
  const Plan& plan = found->second;
  return Status(library_.matmul(handle_, plan.operation, &alpha, args.weight.data, plan.weight, args.input, plan.input,
                                &beta, output, plan.output, output, plan.output, &plan.algorithm, workspace_.data(),
                                kWorkspaceBytes, stream),
                "cublasLtMatmul");
}

absl::Status CublasLtLinear::Store(cudaStream_t stream, const LinearArgs& args, __half* output) {
  return Run(stream, {CublasLtEpilogue::kStore, args.weight.out_features, args.weight.in_features, args.num_rows}, args,
             1, 0, output);
}

absl::Status CublasLtLinear::AddTo(cudaStream_t stream, const LinearArgs& args, float scale, const float* bias,
                                   float* residual) {
  const CublasLtProblem problem = {bias != nullptr ? CublasLtEpilogue::kAddBias : CublasLtEpilogue::kAdd,
                                   args.weight.out_features, args.weight.in_features, args.num_rows};
  if (bias != nullptr) {
    const auto found = plans_.find(problem);
    CHECK(found != plans_.end()) << "no plan with a bias for " << args.num_rows << " rows";
    RETURN_IF_CUBLAS_ERROR(
        library_.set_operation(found->second.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof(bias)));
  }
  return Run(stream, problem, args, scale, 1, residual);
}

}  // namespace swiftlet::cuda
