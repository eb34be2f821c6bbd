#include <absl/strings/str_cat.h>
#include <cuda.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/linear_tensor_map.h"
#include "engine/kernels/cuda/linear_tiled.h"
#include "engine/kernels/cuda/linear_tiled_kernel.cuh"

namespace swiftlet::cuda {
namespace {

TiledInstance FindInstance(const TiledConfig& config, LinearEpilogue epilogue) {
  switch (epilogue) {
    case LinearEpilogue::kStore:
      return FindTiledInstance<LinearEpilogue::kStore>(config);
    case LinearEpilogue::kAddTo:
      return FindTiledInstance<LinearEpilogue::kAddTo>(config);
    case LinearEpilogue::kSwiglu:
      return FindTiledInstance<LinearEpilogue::kSwiglu>(config);
  }
  return {};
}

struct Plan {
  TiledParameters parameters = {};
  TiledInstance instance;
  int32_t clusters = 0;
  int32_t shared_bytes = 0;
};

absl::StatusOr<Plan> MakePlan(const LaunchContext& context, const TiledConfig& config, const SkinnyArgs& args) {
  Plan plan;
  TiledParameters& p = plan.parameters;
  plan.instance = FindInstance(config, args.epilogue);
  if (!context.hopper() || plan.instance.kernel == nullptr) return absl::InvalidArgumentError(config.Name());
  static_cast<LinearOutput&>(p) = MakeLinearOutput(args);
  p.stages_of_k = (args.linear.weight.in_features + kTiledStageK - 1) / kTiledStageK;
  p.split_stages = (p.stages_of_k + config.splits - 1) / config.splits;
  p.splits = config.serial ? 1 : (p.stages_of_k + p.split_stages - 1) / p.split_stages;
  if (p.splits > 8 || (p.splits > 1 && args.epilogue == LinearEpilogue::kSwiglu)) {
    return absl::InvalidArgumentError(config.Name());
  }
  p.row_tiles = (p.num_rows + config.rows - 1) / config.rows;
  p.feature_tiles = (p.out_features + config.features - 1) / config.features;
  p.rows_first = p.num_rows < p.out_features;

  const int stage_bytes = (config.rows + config.features) * kTiledStageK * 2;
  const int staging_bytes = p.splits > 1 ? 0 : plan.instance.staging_bytes;
  const int fixed_bytes = kTiledBarrierBytes + staging_bytes + 1024;  // alignment
  const int fragments = config.rows / 128 * config.features / 8;
  const int places = (fragments + p.splits - 1) / p.splits * p.splits;
  const int sums_bytes = p.splits > 1 ? kTiledWarpgroups * 4 * places * kTiledSumBytes : 0;
  const int most_bytes = context.device->max_shared_bytes - fixed_bytes;
  p.ring_offset = kTiledBarrierBytes + staging_bytes;
  p.stages = std::min({config.stages, kTiledMaxStages, most_bytes / stage_bytes});
  const int ring_bytes = p.stages * stage_bytes;
  const bool apart = ring_bytes + sums_bytes <= most_bytes;
  p.sums_offset = sums_bytes > 0 && apart ? ring_bytes : 0;
  plan.shared_bytes = fixed_bytes + (apart ? ring_bytes + sums_bytes : std::max(ring_bytes, sums_bytes));
  if (p.stages < 2 || plan.shared_bytes > context.device->max_shared_bytes) {
    return absl::InvalidArgumentError(config.Name());
  }
  plan.clusters = p.row_tiles * p.feature_tiles;
  if (p.splits == 1) plan.clusters = std::min(plan.clusters, context.device->num_sms);
  return plan;
}

}  // namespace

std::string TiledConfig::Name() const {
  return absl::StrCat("tiled ", rows, "x", features, " k", splits, serial ? " serial" : "", " s", stages);
}

bool TiledFits(const LaunchContext& context, const TiledConfig& config, LinearEpilogue epilogue,
               const LinearWeight& weight) {
  return MakePlan(context, config, {.linear = {.weight = weight, .num_rows = config.rows}, .epilogue = epilogue}).ok();
}

absl::Status TiledLinear(const LaunchContext& context, const TiledConfig& config, const SkinnyArgs& args) {
  const LinearArgs& linear = args.linear;
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(context, config, args));
  const TiledParameters& p = plan.parameters;
  ASSIGN_OR_RETURN(const CUtensorMap weight_map,
                   LinearTensorMap(linear.weight.data, p.out_features, linear.weight.in_features, config.features));
  ASSIGN_OR_RETURN(const CUtensorMap input_map,
                   LinearTensorMap(linear.input, p.num_rows, linear.weight.in_features, config.rows));
  return Launch(context, plan.instance.kernel, dim3(p.splits, plan.clusters), dim3(kTiledThreads), plan.shared_bytes,
                p.splits, p, weight_map, input_map);
}

}  // namespace swiftlet::cuda
