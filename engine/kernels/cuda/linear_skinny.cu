#include <absl/strings/str_cat.h>

#include <algorithm>

#include "engine/kernels/cuda/linear_skinny_kernel.cuh"

namespace swiftlet::cuda {
namespace {

// Tiles of 8 rows that a kernel is compiled for.
int TokenTiles(int num_rows) {
  return num_rows <= 8 ? 1 : num_rows <= 16 ? 2 : num_rows <= 32 ? 4 : 8;
}

}  // namespace

std::string SkinnyConfig::Name() const {
  return absl::StrCat("skinny r", row_tiles, "x", row_warps, " k", k_warps, share_input ? " shared c" : " c", cluster,
                      " s", stages, " b", blocks_per_sm, " t", max_tokens);
}

absl::Status SkinnyLinear(const LaunchContext& context, const SkinnyConfig& config, const SkinnyArgs& args) {
  const LinearArgs& linear = args.linear;
  SkinnyParameters p = {};
  p.input = linear.input;
  p.weight = linear.weight.data;
  p.bias = args.bias;
  p.output = args.output;
  p.residual = args.residual;
  p.scale = args.scale;
  p.num_rows = linear.num_rows;
  p.out_features = linear.weight.out_features;
  p.in_features = linear.weight.in_features;
  p.num_tiles = (p.out_features + config.tile_rows() - 1) / config.tile_rows();
  p.pieces = (p.in_features + kPiece - 1) / kPiece;
  p.whole = p.out_features % config.tile_rows() == 0 && p.in_features % kPiece == 0;
  const bool hopper = context.hopper();
  p.share_input = config.share_input && config.cluster > 1 && p.num_rows > 8;
  const int blocks = config.share_input && !p.share_input ? 1 : std::min(config.cluster, p.pieces);  // of a cluster
  const int cluster = p.share_input ? 1 : blocks;                                                    // that split K
  const bool portable = config.row_tiles == 1 && config.stages == 4 && blocks == 1;
  if ((config.stages != 4 && config.stages != 8) || config.warps() > 16 || config.row_tiles < 1 ||
      config.row_tiles > 2 || blocks > 8 || (!hopper && !portable)) {
    return absl::InvalidArgumentError(config.Name());
  }

  // Shared memory: rings, partial sums, sums of the cluster, barrier, input. The passes are made for a full block of
  // max_tokens whatever num_rows is, so that the order of the sums stays the same.
  const int ring_bytes = config.warps() * config.stages * config.row_tiles * 2 * kFragmentBytes;
  // Clusters that the tiles are dealt to: one tile for each (or each of its blocks) where that is a single wave.
  const int tiles_at_once = p.share_input ? blocks : 1;
  const int groups = std::min((p.num_tiles + tiles_at_once - 1) / tiles_at_once,
                              std::max(1, context.device->num_sms * config.blocks_per_sm / blocks));
  const bool one_tile = p.num_tiles <= groups * tiles_at_once;
  if (cluster > 1 && !one_tile) return absl::InvalidArgumentError(absl::StrCat(config.Name(), ": too many tiles"));
  const auto input_offset = [&](int token_tiles) {
    const int fragments = config.row_warps * config.row_tiles * token_tiles;
    p.partial_offset = ring_bytes;
    p.joined_offset = p.partial_offset + (one_tile ? 1 : 2) * config.k_warps * fragments * kFragmentBytes;
    p.barrier_offset = p.joined_offset;
    if (cluster > 1) p.barrier_offset += (fragments + cluster - 1) / cluster * cluster * kFragmentBytes;
    return p.barrier_offset + 64;
  };
  const int held_bytes = context.device->max_shared_bytes - input_offset(config.max_tokens / 8);
  const int held_pieces = (held_bytes / config.max_tokens - 64) / (kPiece * 2);
  if (held_bytes < 0 || held_pieces < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.Name(), " needs more than ", context.device->max_shared_bytes, " bytes of shared memory"));
  }
  p.rank_pieces = (p.pieces + cluster - 1) / cluster;
  p.passes = (p.rank_pieces + held_pieces - 1) / held_pieces;
  if (p.share_input && p.passes > 1) return absl::InvalidArgumentError(absl::StrCat(config.Name(), ": large input"));
  p.pass_pieces = (p.rank_pieces + p.passes - 1) / p.passes;
  p.warp_pieces = (p.pass_pieces + config.k_warps - 1) / config.k_warps;
  const int block_tokens = std::min(config.max_tokens, TokenTiles(p.num_rows) * 8);
  p.input_offset = input_offset(block_tokens / 8);
  p.input_stride = p.pass_pieces * kPiece * 2 + (p.pass_pieces % 2 == 0 ? 64 : 0);
  const int shared_bytes = p.input_offset + block_tokens * p.input_stride;

  const dim3 grid(blocks, groups, (p.num_rows + block_tokens - 1) / block_tokens);
  const auto choose = args.epilogue == LinearEpilogue::kStore   ? ChooseSkinnyKernel<LinearEpilogue::kStore>
                      : args.epilogue == LinearEpilogue::kAddTo ? ChooseSkinnyKernel<LinearEpilogue::kAddTo>
                                                                : ChooseSkinnyKernel<LinearEpilogue::kSwiglu>;
  return Launch(context, choose(block_tokens / 8, config, hopper), grid, dim3(32, config.row_warps, config.k_warps),
                shared_bytes, blocks, p);
}

}  // namespace swiftlet::cuda
