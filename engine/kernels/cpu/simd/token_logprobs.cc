// The log-probability of a token, and of the most likely ones of its row.
#include <algorithm>
#include <array>
#include <cmath>

#include "engine/kernels/cpu/simd/highway_targets.h"
#include "engine/kernels/sampling.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/cpu/simd/token_logprobs.cc"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

#include "engine/kernels/cpu/simd/sampling_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

bool ScoreImpl(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result) {
  const float* const row = logits.data();
  const auto count = static_cast<int64_t>(logits.size());
  const MaxResult max = MaxOfRow(row, count);
  if (!max.finite) return false;
  const double log_sum = max.max + std::log(SumOfExp(row, count, max.max));
  const auto score = [&](int32_t id) { return TokenLogprob{id, static_cast<float>(row[id] - log_sum)}; };
  result->chosen = score(token_id);
  result->top.clear();
  if (num_top <= 0) return true;

  // The best so far in order of (logit down, id up); ids come rising, so only a larger logit enters a full list.
  const auto wanted = static_cast<size_t>(std::min<int64_t>(num_top, count));
  std::array<int32_t, 32> top;
  size_t size = 0;
  const auto offer = [&](int64_t id) {
    if (size == wanted && !(row[id] > row[top[size - 1]])) return;
    size_t at = size < wanted ? size++ : wanted - 1;
    for (; at > 0 && row[id] > row[top[at - 1]]; --at) top[at] = top[at - 1];
    top[at] = static_cast<int32_t>(id);
  };
  const Floats d;
  int64_t i = 0;
  for (; i < count && size < wanted; ++i) offer(i);
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    const V a = hn::Max(hn::LoadU(d, row + i), hn::LoadU(d, row + i + kLanes));
    const V b = hn::Max(hn::LoadU(d, row + i + 2 * kLanes), hn::LoadU(d, row + i + 3 * kLanes));
    if (hn::AllTrue(d, hn::Le(hn::Max(a, b), hn::Set(d, row[top[size - 1]])))) continue;
    for (int64_t k = i; k < i + 4 * kLanes; ++k) offer(k);
  }
  for (; i < count; ++i) offer(i);
  for (size_t k = 0; k < size; ++k) result->top.push_back(score(top[k]));
  return true;
}

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace swiftlet::simd {

HWY_EXPORT(ScoreImpl);

bool ScoreToken(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result) {
  return HWY_DYNAMIC_DISPATCH(ScoreImpl)(logits, token_id, num_top, result);
}

}  // namespace swiftlet::simd
#endif
