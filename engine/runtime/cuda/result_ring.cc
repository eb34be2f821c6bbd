#include "engine/runtime/cuda/result_ring.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace swiftlet::cuda {
namespace {

constexpr int kNotWritten = 1 << 30;  // no flag of SampleFlags

}  // namespace

PositionLogprobs ToPositionLogprobs(const DeviceLogprobs& from, int32_t token_id, int32_t num_top) {
  PositionLogprobs logprobs;
  logprobs.chosen = {.token_id = token_id, .logprob = from.chosen};
  const int32_t count = std::min({num_top, from.num_top, kMaxTopLogprobs});
  for (int32_t i = 0; i < count; ++i) logprobs.top.push_back({from.top_ids[i], from.top_logprobs[i]});
  return logprobs;
}

absl::StatusOr<ResultRing> ResultRing::Create(int32_t num_slots, int32_t max_draws) {
  const auto results = static_cast<size_t>(num_slots) * max_draws;
  ASSIGN_OR_RETURN(PinnedBuffer samples, PinnedBuffer::Allocate(sizeof(int2) * results));
  ASSIGN_OR_RETURN(PinnedBuffer logprobs, PinnedBuffer::Allocate(sizeof(DeviceLogprobs) * results));
  return ResultRing(std::move(samples), std::move(logprobs), max_draws);
}

void ResultRing::Clear(int32_t slot, int32_t num_samples) {
  CHECK(num_samples <= max_draws_) << num_samples << " samples of " << max_draws_;
  int2* const samples = samples_.as<int2>() + int64_t{slot} * max_draws_;
  for (int32_t i = 0; i < num_samples; ++i) samples[i] = {-1, kNotWritten};
}

absl::StatusOr<StepSample> ResultRing::Read(int32_t slot, int32_t sample, int32_t vocab_size) const {
  const int2 result = samples_.as<int2>()[int64_t{slot} * max_draws_ + sample];
  StepSample read;
  read.stop = (result.y & SampleFlags::kStop) != 0;
  read.failed = (result.y & SampleFlags::kFailed) != 0;
  read.skipped = (result.y & SampleFlags::kSkipped) != 0;
  if ((result.y & kNotWritten) != 0) return absl::DataLossError(absl::StrCat("no result of draw ", sample));
  if (read.failed || read.skipped) return read;
  if (result.x < 0 || result.x >= vocab_size) {
    return absl::DataLossError(absl::StrCat("draw ", sample, " gave token ", result.x, " of ", vocab_size));
  }
  read.token_id = result.x;
  return read;
}

}  // namespace swiftlet::cuda
