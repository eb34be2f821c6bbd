#include <absl/strings/str_cat.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/linear_skinny_kernel.cuh"

namespace swiftlet::cuda {
namespace {

// Tiles of 8 rows that a kernel is compiled for.
int TokenTiles(int num_rows) {
  return num_rows <= 8 ? 1 : num_rows <= 16 ? 2 : num_rows <= 32 ? 4 : 8;
}

struct Plan {
  SkinnyParameters parameters = {};
  dim3 grid;
  int32_t blocks = 1;  // of a cluster
  int32_t token_tiles = 0;
  int32_t shared_bytes = 0;
  bool hopper = false;
};

absl::StatusOr<Plan> MakePlan(const LaunchContext& context, const SkinnyConfig& config, const SkinnyArgs& args) {
  Plan plan;
  SkinnyParameters& p = plan.parameters;
  static_cast<LinearOutput&>(p) = MakeLinearOutput(args);
  p.input = args.linear.input;
  p.weight = args.linear.weight.data;
  p.in_features = args.linear.weight.in_features;
  p.num_tiles = (p.out_features + config.tile_rows() - 1) / config.tile_rows();
  p.pieces = (p.in_features + kPiece - 1) / kPiece;
  p.whole = p.out_features % config.tile_rows() == 0 && p.in_features % kPiece == 0;
  plan.blocks = std::min(config.cluster, p.pieces);
  if ((config.stages != 4 && config.stages != 8) || config.warps() > 16 || config.row_tiles < 1 ||
      config.row_tiles > 2 || plan.blocks > 8) {
    return absl::InvalidArgumentError(config.Name());
  }
  // Clusters that the tiles are dealt to: one tile for each where that is a single wave.
  const int groups = std::min(p.num_tiles, std::max(1, context.device->num_sms * config.blocks_per_sm / plan.blocks));
  const bool one_tile = p.num_tiles <= groups;
  if (plan.blocks > 1 && !one_tile) return absl::InvalidArgumentError(absl::StrCat(config.Name(), ": too many tiles"));

  // Shared memory: rings, partial sums, sums of the cluster, barriers, input. The passes are made for a full block of
  // max_tokens whatever num_rows is, so that the order of the sums stays the same.
  const int ring_bytes = config.warps() * config.stages * config.row_tiles * 2 * kFragmentBytes;
  const auto input_offset = [&](int token_tiles) {
    const int fragments = config.row_warps * config.row_tiles * token_tiles;
    p.partial_offset = ring_bytes;
    p.joined_offset = p.partial_offset + (one_tile ? 1 : 2) * config.k_warps * fragments * kFragmentBytes;
    p.barrier_offset = p.joined_offset;
    if (plan.blocks > 1) {
      p.barrier_offset += (fragments + plan.blocks - 1) / plan.blocks * plan.blocks * kFragmentBytes;
    }
    return p.barrier_offset + 64;
  };
  const int held_bytes = context.device->max_shared_bytes - input_offset(config.max_tokens / 8);
  const int held_pieces = (held_bytes / config.max_tokens - 64) / (kPiece * 2);
  if (held_bytes < 0 || held_pieces < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.Name(), " needs more than ", context.device->max_shared_bytes, " bytes of shared memory"));
  }
  p.rank_pieces = (p.pieces + plan.blocks - 1) / plan.blocks;
  p.passes = (p.rank_pieces + held_pieces - 1) / held_pieces;
  p.pass_pieces = (p.rank_pieces + p.passes - 1) / p.passes;
  p.warp_pieces = (p.pass_pieces + config.k_warps - 1) / config.k_warps;
  plan.hopper = context.hopper() && p.passes == 1 && config.max_tokens == 8;
  if (!plan.hopper && (config.row_tiles > 1 || config.stages > 4 || plan.blocks > 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.Name(), " is for Hopper, for blocks of 8 rows and the whole input"));
  }
  const int block_tokens = std::min(config.max_tokens, TokenTiles(p.num_rows) * 8);
  plan.token_tiles = block_tokens / 8;
  p.input_offset = input_offset(plan.token_tiles);
  p.input_stride = p.pass_pieces * kPiece * 2 + (p.pass_pieces % 2 == 0 ? 64 : 0);
  plan.shared_bytes = p.input_offset + block_tokens * p.input_stride;
  plan.grid = dim3(plan.blocks, groups, (p.num_rows + block_tokens - 1) / block_tokens);
  return plan;
}

}  // namespace

std::string SkinnyConfig::Name() const {
  return absl::StrCat("skinny r", row_tiles, "x", row_warps, " k", k_warps, " c", cluster, " s", stages, " b",
                      blocks_per_sm, " t", max_tokens);
}

bool SkinnyFits(const LaunchContext& context, const SkinnyConfig& config, const LinearWeight& weight) {
  return MakePlan(context, config, {.linear = {.weight = weight, .num_rows = config.max_tokens}}).ok();
}

absl::Status SkinnyLinear(const LaunchContext& context, const SkinnyConfig& config, const SkinnyArgs& args) {
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(context, config, args));
  const auto choose = args.epilogue == LinearEpilogue::kStore   ? ChooseSkinnyKernel<LinearEpilogue::kStore>
                      : args.epilogue == LinearEpilogue::kAddTo ? ChooseSkinnyKernel<LinearEpilogue::kAddTo>
                                                                : ChooseSkinnyKernel<LinearEpilogue::kSwiglu>;
  return Launch(context, choose(plan.token_tiles, config, plan.hopper), plan.grid,
                dim3(32, config.row_warps, config.k_warps), plan.shared_bytes, plan.blocks, plan.parameters);
}

}  // namespace swiftlet::cuda
