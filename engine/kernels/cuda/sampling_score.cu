// Log-probabilities of the prompt's tokens.
#include "engine/kernels/cuda/draw.cuh"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/logprobs.cuh"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {
namespace {

__global__ void __launch_bounds__(kTeamThreads, 2) ScoreKernel(ScoreArgs args) {
  extern __shared__ __align__(16) std::byte memory[];
  DrawShared& shared = *reinterpret_cast<DrawShared*>(memory);
  auto& top = *reinterpret_cast<LogprobsShared*>(memory + sizeof(DrawShared));
  WaitForPredecessor();
  ReleaseSuccessor();
  Team<1> team(shared.team);
  const int index = team.row();
  const bool finite = WriteLogprobs(team, shared, top, args.logits + int64_t{index} * args.vocab, args.vocab,
                                    args.targets[index], args.num_top, args.results + index);
  if (threadIdx.x == 0) args.failed[index] = finite ? 0 : 1;
}

}  // namespace

absl::Status Score(const LaunchContext& context, const ScoreArgs& args) {
  static_assert(sizeof(DrawShared) % alignof(LogprobsShared) == 0);
  return Launch(context, ScoreKernel, dim3(static_cast<unsigned>(args.num_rows)), dim3(kTeamThreads),
                sizeof(DrawShared) + sizeof(LogprobsShared), 1, args);
}

}  // namespace swiftlet::cuda
