#include "engine/kernels/sampling.h"

namespace swiftlet::simd {
SampleResult Sample(const SampleArgs& args, SampleScratch&) {
  return reference::Sample(args);
}
bool ScoreToken(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result) {
  return reference::ScoreToken(logits, token_id, num_top, result);
}
}  // namespace swiftlet::simd
