#include "engine/kernels/cuda/linear.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/layer_ops.h"
#include "engine/kernels/cuda/linear_cublaslt.h"
#include "engine/kernels/cuda/linear_skinny.h"
#include "engine/kernels/cuda/linear_table.h"

namespace swiftlet::cuda {
namespace {

// Which of our own kernels serves up to max_rows rows of a layer; more rows go to cuBLASLt. On a Hopper GPU.
struct Choice {
  LinearRole role;
  int32_t max_rows;
  SkinnyConfig config;
};

constexpr Choice kHopperChoices[] = {
    {LinearRole::kQkv, 8, {.row_warps = 1, .k_warps = 12, .stages = 4, .max_tokens = 8}},
    {LinearRole::kQkv, 32, {.row_warps = 2, .k_warps = 6, .cluster = 2, .stages = 4, .max_tokens = 32}},
    {LinearRole::kOutput, 8, {.row_warps = 1, .k_warps = 12, .stages = 4, .max_tokens = 8}},
    {LinearRole::kOutput, 32, {.row_warps = 2, .k_warps = 6, .cluster = 2, .stages = 4, .max_tokens = 32}},
    {LinearRole::kGateUp, 8, {.row_warps = 3, .k_warps = 4, .stages = 8, .max_tokens = 8}},
    {LinearRole::kGateUp, 32, {.row_warps = 3, .k_warps = 4, .stages = 4, .max_tokens = 32}},
    {LinearRole::kDown, 8, {.row_tiles = 2, .row_warps = 2, .k_warps = 5, .cluster = 4, .stages = 4, .max_tokens = 8}},
    {LinearRole::kDown, 32, {.row_warps = 8, .k_warps = 2, .cluster = 8, .stages = 4, .max_tokens = 32}},
};

// The portable kernel, which is also the batch-invariant one: one configuration whatever the rows.
SkinnyConfig FixedConfig(const Device& device) {
  SkinnyConfig config = {.row_warps = 2, .k_warps = 4, .stages = 4, .max_tokens = 32};
  if (device.max_shared_bytes < 96 * 1024) config.max_tokens = 16;
  return config;
}

class LinearKernelsImpl : public LinearKernels {
 public:
  LinearKernelsImpl(const Device& device, std::unique_ptr<CublasLtLinear> cublaslt, std::optional<LinearTable> table,
                    std::string absence)
      : device_(device), cublaslt_(std::move(cublaslt)), table_(std::move(table)), absence_(std::move(absence)) {}

  absl::Status Store(const LaunchContext& context, LinearRole role, const LinearArgs& args, __half* output) override {
    if (const std::optional<SkinnyConfig> own = Choose(context, role, args.num_rows)) {
      return SkinnyLinear(context, *own, {.linear = args, .epilogue = LinearEpilogue::kStore, .output = output});
    }
    RETURN_IF_ERROR(Plan(CublasLtEpilogue::kStore, args));
    return cublaslt_->Store(context.stream, args, output);
  }

  absl::Status AddTo(const LaunchContext& context, LinearRole role, const LinearArgs& args, float scale,
                     const float* bias, float* residual) override {
    if (const std::optional<SkinnyConfig> own = Choose(context, role, args.num_rows)) {
      return SkinnyLinear(
          context, *own,
          {.linear = args, .epilogue = LinearEpilogue::kAddTo, .scale = scale, .bias = bias, .residual = residual});
    }
    RETURN_IF_ERROR(Plan(bias != nullptr ? CublasLtEpilogue::kAddBias : CublasLtEpilogue::kAdd, args));
    return cublaslt_->AddTo(context.stream, args, scale, bias, residual);
  }

  absl::Status GateUp(const LaunchContext& context, const LinearArgs& args, const float* bias, __half* scratch,
                      __half* output) override {
    if (const std::optional<SkinnyConfig> own = Choose(context, LinearRole::kGateUp, args.num_rows)) {
      return SkinnyLinear(context, *own,
                          {.linear = args, .epilogue = LinearEpilogue::kSwiglu, .bias = bias, .output = output});
    }
    RETURN_IF_ERROR(Plan(CublasLtEpilogue::kStore, args));
    RETURN_IF_ERROR(cublaslt_->Store(context.stream, args, scratch));
    return Swiglu(context, {.gate_up = scratch,
                            .bias = bias,
                            .output = output,
                            .num_rows = args.num_rows,
                            .intermediate = args.weight.out_features / 2});
  }

  std::string Description() const override {
    std::string text = device_.compute_capability == 90 ? "skinny-1 (hopper)" : "skinny-1";
    if (cublaslt_ == nullptr) return absl::StrCat(text, "; no cuBLASLt: ", absence_);
    absl::StrAppend(&text, "; cuBLASLt ", cublaslt_->version());
    if (!table_.has_value()) {
      absl::StrAppend(&text, ", first heuristics: no table for ", device_.name, " (tools/cc/linear_tune writes one)");
    } else {
      absl::StrAppend(&text, ", table of ", device_.name);
      if (from_heuristic_ > 0) absl::StrAppend(&text, ", ", from_heuristic_, " plans not in it");
      if (refused_ > 0) absl::StrAppend(&text, ", ", refused_, " entries refused by this version");
    }
    return text;
  }

  int64_t workspace_bytes() const override { return cublaslt_ != nullptr ? CublasLtLinear::kWorkspaceBytes : 0; }

 private:
  // Our own kernel for the call, or nullopt for cuBLASLt. The one place that chooses.
  std::optional<SkinnyConfig> Choose(const LaunchContext& context, LinearRole role, int32_t num_rows) const {
    if (context.deterministic || context.generic || cublaslt_ == nullptr) return FixedConfig(device_);
    if (context.hopper()) {
      for (const Choice& choice : kHopperChoices) {
        if (choice.role == role && num_rows <= choice.max_rows) return choice.config;
      }
    }
    return std::nullopt;
  }

  absl::Status Plan(CublasLtEpilogue epilogue, const LinearArgs& args) {
    const CublasLtProblem problem = {epilogue, args.weight.out_features, args.weight.in_features, args.num_rows};
    if (cublaslt_->Chosen(problem)) return absl::OkStatus();
    if (const CublasLtAlgorithm* entry = table_.has_value() ? table_->Find(problem) : nullptr) {
      ASSIGN_OR_RETURN(const bool taken, cublaslt_->Choose(problem, *entry));
      if (taken) return absl::OkStatus();
      ++refused_;
    } else {
      ++from_heuristic_;
    }
    return cublaslt_->Choose(problem, std::nullopt).status();
  }

  const Device device_;
  const std::unique_ptr<CublasLtLinear> cublaslt_;
  const std::optional<LinearTable> table_;
  const std::string absence_;  // why there is no cuBLASLt
  int64_t from_heuristic_ = 0;
  int64_t refused_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LinearKernels>> LinearKernels::Create(const Device& device,
                                                                     const std::string& tune_cache) {
  ASSIGN_OR_RETURN(std::optional<LinearTable> table, LinearTable::Find(device.name, tune_cache));
  absl::StatusOr<std::unique_ptr<CublasLtLinear>> cublaslt = CublasLtLinear::Create();
  std::string absence;
  if (!cublaslt.ok()) {
    if (!absl::IsUnavailable(cublaslt.status())) return cublaslt.status();
    absence = cublaslt.status().ToString();
    cublaslt = nullptr;
  }
  return std::make_unique<LinearKernelsImpl>(device, *std::move(cublaslt), std::move(table), std::move(absence));
}

}  // namespace swiftlet::cuda
