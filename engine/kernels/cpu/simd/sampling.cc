// Sampling without a sort, in few passes over the row:
//   1. the largest logit, and whether all are finite (sampling_row-inl.h)
//   2. where min_p, top_k and top_p cut (sampling_cut-inl.h)
//   3. the race of what is left (sampling_race-inl.h)
#include "engine/kernels/sampling.h"

#include <algorithm>
#include <limits>

#include "engine/kernels/cpu/simd/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/cpu/simd/sampling.cc"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/highway.h>

#include "engine/kernels/cpu/simd/sampling_cut-inl.h"
#include "engine/kernels/cpu/simd/sampling_race-inl.h"
#include "engine/kernels/cpu/simd/sampling_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

MaxResult MaxImpl(const float* values, int64_t count) {
  return MaxOfRow(values, count);
}

// `max`: the largest logit after the edits.
int32_t DrawImpl(const SampleArgs& args, float max, SampleScratch& scratch) {
  const auto count = static_cast<int64_t>(args.logits.size());
  const int64_t first_id = FirstEqual(args.logits.data(), count, max);
  if (args.temperature == 0 || args.top_k == 1 || max == -std::numeric_limits<float>::infinity()) {
    return static_cast<int32_t>(first_id);
  }
  const float inverse_temperature = 1 / args.temperature;
  const Scaled z = {args.logits.data(), count, inverse_temperature, max * inverse_temperature};
  return Race(args, z, FindCuts(args, z, scratch), first_id);
}

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace swiftlet::simd {

HWY_EXPORT(DrawImpl);
HWY_EXPORT(MaxImpl);

namespace {

// Applies the edits of the contract to the row, remembering what they wrote over.
class RowEdits {
 public:
  RowEdits(const SampleArgs& args, SampleScratch& scratch) : logits_(args.logits), undo_(scratch.undo) {
    undo_.clear();
    for (const auto& [id, bias] : args.logit_bias) Write(id, logits_[id] + bias);
    const bool penalised = args.repetition_penalty != 1 || args.presence_penalty != 0 || args.frequency_penalty != 0;
    for (size_t i = 0; penalised && i < args.counts.size(); ++i) {
      const TokenCount& count = args.counts[i];
      float logit = logits_[count.token_id];
      if (args.repetition_penalty != 1) {
        logit = logit > 0 ? logit / args.repetition_penalty : logit * args.repetition_penalty;
      }
      logit -= args.frequency_penalty * static_cast<float>(count.output_count);
      if (count.output_count > 0) logit -= args.presence_penalty;
      Write(count.token_id, logit);
    }
    for (const int32_t id : args.forbidden_ids) Write(id, -std::numeric_limits<float>::infinity());
    for (size_t id = 0; !args.mask.empty() && id < logits_.size(); ++id) {
      if ((args.mask[id / 64] >> (id % 64) & 1) == 0) {
        Write(static_cast<int32_t>(id), -std::numeric_limits<float>::infinity());
      }
    }
  }
  bool any() const { return !undo_.empty(); }
  ~RowEdits() {
    for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) logits_[it->first] = it->second;
  }

 private:
  void Write(int32_t id, float logit) {
    undo_.emplace_back(id, logits_[id]);
    logits_[id] = logit;
  }

  const std::span<float> logits_;
  std::vector<std::pair<int32_t, float>>& undo_;
};

}  // namespace

SampleResult Sample(const SampleArgs& args, SampleScratch& scratch) {
  SampleResult result;
  const auto count = static_cast<int64_t>(args.logits.size());
  MaxResult max = HWY_DYNAMIC_DISPATCH(MaxImpl)(args.logits.data(), count);
  result.finite = max.finite;
  if (!result.finite) return result;
  {
    const RowEdits edits(args, scratch);
    if (edits.any()) max = HWY_DYNAMIC_DISPATCH(MaxImpl)(args.logits.data(), count);
    result.token_id = HWY_DYNAMIC_DISPATCH(DrawImpl)(args, max.max, scratch);
  }
  if (args.num_top >= 0) ScoreToken(args.logits, result.token_id, args.num_top, &result.logprobs);
  return result;
}

}  // namespace swiftlet::simd
#endif
