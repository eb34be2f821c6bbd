#include "engine/kernels/cuda/linear.h"

#include <absl/strings/str_cat.h>
#include <absl/types/span.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/layer_ops.h"
#include "engine/kernels/cuda/linear_cublaslt.h"
#include "engine/kernels/cuda/linear_skinny.h"
#include "engine/kernels/cuda/linear_stream.h"
#include "engine/kernels/cuda/linear_table.h"
#include "engine/kernels/cuda/linear_tiled.h"

namespace swiftlet::cuda {
namespace {

// Which of our own kernels serves up to max_rows rows of a layer on a Hopper GPU, where the weight's shape fits it;
// more rows go to cuBLASLt. Found on one H200 with DeepSeek-R1-Distill-Qwen-1.5B, 2026-11-23, in the engine's steps:
// one kernel is loaded while others run, so that what is best alone need not be best there, and cuBLASLt's kernels
// begin only when the one before has ended (1.1 us each). A step in ms with these, with cuBLASLt in place of the tiles:
// 128 rows 2.14 and 2.33, 256 3.19 and 3.32, 512 5.30 and 5.46; from 513 rows on cuBLASLt is as fast or faster. Gate
// and up by tiles and by the streaming kernel: 64 rows 1.70 and 1.81, 48 1.63 and 1.76, 32 the same, 16 1.29 and 1.27.
using OwnConfig = std::variant<SkinnyConfig, StreamConfig, TiledConfig>;
struct Choice {
  LinearRole role;
  int32_t max_rows;
  OwnConfig config;
};

constexpr Choice kHopperChoices[] = {
    {LinearRole::kQkv, 8, SkinnyConfig{.row_tiles = 2, .row_warps = 2, .k_warps = 4, .cluster = 4, .max_tokens = 8}},
    {LinearRole::kQkv, 32, StreamConfig{.cluster = 4, .slots = 6}},
    {LinearRole::kQkv, 64, StreamConfig{.cluster = 3, .slots = 8}},
    {LinearRole::kQkv, 256, TiledConfig{.features = 64, .splits = 2, .stages = 8}},
    {LinearRole::kQkv, 512, TiledConfig{.features = 64, .stages = 8}},
    {LinearRole::kOutput, 8, StreamConfig{.cluster = 3, .slots = 8}},
    {LinearRole::kOutput, 64, StreamConfig{.cluster = 4, .slots = 6}},
    {LinearRole::kOutput, 128, TiledConfig{.features = 48, .splits = 3, .stages = 8}},
    {LinearRole::kGateUp, 8, SkinnyConfig{.row_warps = 2, .k_warps = 8, .stages = 8, .max_tokens = 8}},
    {LinearRole::kGateUp, 32, StreamConfig{.cluster = 2, .slots = 12}},
    {LinearRole::kGateUp, 64, TiledConfig{.rows = 64, .features = 144, .stages = 6}},
    {LinearRole::kGateUp, 128, TiledConfig{.features = 144}},
    {LinearRole::kGateUp, 256, TiledConfig{.rows = 256, .features = 144}},
    {LinearRole::kGateUp, 384, TiledConfig{.features = 144}},
    {LinearRole::kGateUp, 512, TiledConfig{.rows = 256, .features = 144}},
    {LinearRole::kDown, 8, SkinnyConfig{.row_warps = 4, .k_warps = 4, .cluster = 4, .stages = 8, .max_tokens = 8}},
    {LinearRole::kDown, 64, StreamConfig{.cluster = 4, .slots = 12}},
    {LinearRole::kDown, 128, TiledConfig{.features = 96, .splits = 6, .stages = 8}},
    {LinearRole::kHead, 8, SkinnyConfig{.row_warps = 3, .k_warps = 4, .stages = 8, .max_tokens = 8}},  // 104 (112)
};

// What `deterministic` takes on a Hopper GPU. Of a layer all have K in the same parts, added in their order: a row's
// result has the same bits whichever of them serves it. Down and o are narrow, and in one part would leave most of the
// device idle at few rows.
constexpr Choice kFixedHopperChoices[] = {
    {LinearRole::kQkv, 64, StreamConfig{.cluster = 4, .slots = 6}},
    {LinearRole::kQkv, 128, TiledConfig{.features = 64, .splits = 4}},
    {LinearRole::kQkv, 256, TiledConfig{.features = 128, .splits = 4}},
    {LinearRole::kQkv, INT32_MAX, TiledConfig{.features = 128, .splits = 4, .serial = true}},
    {LinearRole::kOutput, 64, StreamConfig{.cluster = 4, .slots = 6}},
    {LinearRole::kOutput, 128, TiledConfig{.features = 48, .splits = 4, .stages = 8}},
    {LinearRole::kOutput, 256, TiledConfig{.features = 96, .splits = 4, .stages = 6}},
    {LinearRole::kOutput, INT32_MAX, TiledConfig{.features = 128, .splits = 4, .serial = true}},
    {LinearRole::kGateUp, 32, StreamConfig{.cluster = 1, .slots = 16}},
    {LinearRole::kGateUp, 64, TiledConfig{.rows = 64, .features = 144, .stages = 6}},
    {LinearRole::kGateUp, 128, TiledConfig{.features = 144}},
    {LinearRole::kGateUp, 512, TiledConfig{.rows = 256, .features = 144}},
    {LinearRole::kGateUp, 1024, TiledConfig{.features = 144}},
    {LinearRole::kGateUp, INT32_MAX, TiledConfig{.features = 256}},
    {LinearRole::kDown, 64, StreamConfig{.cluster = 4, .slots = 12}},
    {LinearRole::kDown, 256, TiledConfig{.features = 96, .splits = 4, .stages = 8}},
    {LinearRole::kDown, INT32_MAX, TiledConfig{.features = 128, .splits = 4, .serial = true}},
    {LinearRole::kHead, 32, StreamConfig{.cluster = 1, .slots = 16}},
    {LinearRole::kHead, 128, TiledConfig{.features = 128}},
    {LinearRole::kHead, 256, TiledConfig{.rows = 256, .features = 128}},
    {LinearRole::kHead, INT32_MAX, TiledConfig{.features = 256}},
};

LinearEpilogue EpilogueOf(LinearRole role) {
  switch (role) {
    case LinearRole::kQkv:
    case LinearRole::kHead:
      return LinearEpilogue::kStore;
    case LinearRole::kOutput:
    case LinearRole::kDown:
      return LinearEpilogue::kAddTo;
    case LinearRole::kGateUp:
      return LinearEpilogue::kSwiglu;
  }
  return LinearEpilogue::kStore;
}

// Rows from which the portable kernel is slower than cuBLASLt by much, on any device.
constexpr int32_t kMaxPortableRows = 64;

// The portable kernel, batch-invariant too.
SkinnyConfig PortableConfig(const Device& device) {
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
    if (const std::optional<OwnConfig> own = Choose(context, role, args)) {
      return RunOwn(context, *own, {.linear = args, .epilogue = LinearEpilogue::kStore, .output = output});
    }
    RETURN_IF_ERROR(Plan(CublasLtEpilogue::kStore, args));
    return cublaslt_->Store(context.stream, args, output);
  }

  absl::Status AddTo(const LaunchContext& context, LinearRole role, const LinearArgs& args, float scale,
                     const float* bias, float* residual) override {
    if (const std::optional<OwnConfig> own = Choose(context, role, args)) {
      return RunOwn(
          context, *own,
          {.linear = args, .epilogue = LinearEpilogue::kAddTo, .scale = scale, .bias = bias, .residual = residual});
    }
    RETURN_IF_ERROR(Plan(bias != nullptr ? CublasLtEpilogue::kAddBias : CublasLtEpilogue::kAdd, args));
    return cublaslt_->AddTo(context.stream, args, scale, bias, residual);
  }

  absl::Status GateUp(const LaunchContext& context, const LinearArgs& args, const float* bias, __half* scratch,
                      __half* output) override {
    if (const std::optional<OwnConfig> own = Choose(context, LinearRole::kGateUp, args)) {
      return RunOwn(context, *own,
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
    std::string text = device_.compute_capability == 90 ? "skinny-2, stream-1, tiled-2" : "skinny-2";
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
  std::optional<OwnConfig> Choose(const LaunchContext& context, LinearRole role, const LinearArgs& args) const {
    const bool fixed = context.deterministic || cublaslt_ == nullptr;
    if (context.hopper()) {
      for (const Choice& choice : fixed ? absl::MakeConstSpan(kFixedHopperChoices) : kHopperChoices) {
        if (choice.role != role || args.num_rows > choice.max_rows) continue;
        if (Fits(context, choice, args.weight)) return choice.config;
      }
    }
    if (fixed || (context.generic && args.num_rows <= kMaxPortableRows)) return PortableConfig(device_);
    return std::nullopt;
  }

  static bool Fits(const LaunchContext& context, const Choice& choice, const LinearWeight& weight) {
    if (const auto* skinny = std::get_if<SkinnyConfig>(&choice.config)) return SkinnyFits(context, *skinny, weight);
    if (const auto* stream = std::get_if<StreamConfig>(&choice.config)) return StreamFits(context, *stream, weight);
    return TiledFits(context, std::get<TiledConfig>(choice.config), EpilogueOf(choice.role), weight);
  }

  static absl::Status RunOwn(const LaunchContext& context, const OwnConfig& config, const SkinnyArgs& args) {
    if (const auto* skinny = std::get_if<SkinnyConfig>(&config)) return SkinnyLinear(context, *skinny, args);
    if (const auto* stream = std::get_if<StreamConfig>(&config)) return StreamLinear(context, *stream, args);
    return TiledLinear(context, std::get<TiledConfig>(config), args);
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
