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

// Clusters that the device holds at once.
absl::StatusOr<int> ResidentClusters(const LaunchContext& context, const TiledInstance& instance, int cluster,
                                     int shared_bytes) {
  if (cluster <= 2) return context.device->num_sms / cluster;
  RETURN_IF_CUDA_ERROR(
      cudaFuncSetAttribute(instance.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(cluster);
  config.blockDim = dim3(kTiledThreads);
  config.dynamicSmemBytes = shared_bytes;
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0;
  RETURN_IF_CUDA_ERROR(cudaOccupancyMaxActiveClusters(&clusters, instance.kernel, &config));
  return std::max(clusters, 1);
}

struct Plan {
  TiledParameters parameters = {};
  TiledInstance instance;
  int32_t clusters = 0, cluster = 1;
  int32_t shared_bytes = 0;
};

absl::StatusOr<Plan> MakePlan(const LaunchContext& context, const TiledConfig& config, LinearEpilogue epilogue,
                              const LinearArgs& linear) {
  Plan plan;
  TiledParameters& p = plan.parameters;
  plan.instance = FindInstance(config, epilogue);
  if (!context.hopper() || plan.instance.kernel == nullptr) return absl::InvalidArgumentError(config.Name());
  p.num_rows = linear.num_rows;
  p.out_features = linear.weight.out_features;
  p.stages_of_k = (linear.weight.in_features + kTiledStageK - 1) / kTiledStageK;
  p.split_stages = (p.stages_of_k + config.splits - 1) / config.splits;
  p.splits = config.serial ? 1 : (p.stages_of_k + p.split_stages - 1) / p.split_stages;
  p.share_weights = config.share_weights;
  p.share_input = config.share_input;
  plan.cluster = p.share_weights * p.share_input * p.splits;
  const bool shares = config.features % (8 * p.share_weights) == 0 && config.rows % (8 * p.share_input) == 0;
  if (plan.cluster > 8 || !shares || (p.splits > 1 && epilogue == LinearEpilogue::kSwiglu)) {
    return absl::InvalidArgumentError(config.Name());
  }
  const int row_step = config.rows * p.share_weights, feature_step = config.features * p.share_input;
  p.row_groups = (p.num_rows + row_step - 1) / row_step;
  p.feature_groups = (p.out_features + feature_step - 1) / feature_step;
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
  plan.clusters = p.row_groups * p.feature_groups;
  if (p.splits == 1) {
    ASSIGN_OR_RETURN(const int resident, ResidentClusters(context, plan.instance, plan.cluster, plan.shared_bytes));
    plan.clusters = std::min(plan.clusters, resident);
  }
  return plan;
}

}  // namespace

std::string TiledConfig::Name() const {
  return absl::StrCat("tiled ", rows, "x", features, " w", share_weights, " i", share_input, " k", splits,
                      serial ? " serial" : "", " s", stages);
}

bool TiledFits(const LaunchContext& context, const TiledConfig& config, LinearEpilogue epilogue,
               const LinearWeight& weight) {
  return MakePlan(context, config, epilogue, {.weight = weight, .num_rows = config.rows}).ok();
}

absl::Status TiledLinear(const LaunchContext& context, const TiledConfig& config, const SkinnyArgs& args) {
  const LinearArgs& linear = args.linear;
  ASSIGN_OR_RETURN(Plan plan, MakePlan(context, config, args.epilogue, linear));
  TiledParameters& p = plan.parameters;
  p.bias = args.bias;
  p.output = args.output;
  p.residual = args.residual;
  p.scale = args.scale;
  ASSIGN_OR_RETURN(const CUtensorMap weight_map,
                   LinearTensorMap(linear.weight.data, p.out_features, linear.weight.in_features,
                                   config.features / config.share_weights));
  ASSIGN_OR_RETURN(const CUtensorMap input_map, LinearTensorMap(linear.input, p.num_rows, linear.weight.in_features,
                                                                config.rows / config.share_input));
  return Launch(context, plan.instance.kernel, dim3(plan.cluster, plan.clusters), dim3(kTiledThreads),
                plan.shared_bytes, plan.cluster, p, weight_map, input_map);
}

}  // namespace swiftlet::cuda
