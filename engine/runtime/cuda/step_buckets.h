// The sizes that steps are captured for. Pure; any thread.
//
// A decode bucket has one token a sequence and nothing else. A mixed bucket has up to so many tokens of any kind, and
// rows of logits apart, because the head is the largest layer and a step of 8,192 prefilled tokens may need one row.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/cuda/cuda_model.h"

namespace swiftlet::cuda {

struct StepBucket {
  StepCapacity capacity;
  int32_t least_tokens = 0;  // steps with fewer tokens would pay more for padding than for being launched one by one
};

// Every bucket: decode buckets first, each kind in rising order.
std::vector<StepBucket> StepBuckets(int32_t max_num_seqs, int32_t max_num_batched_tokens);

// Whether a step of these sizes can run in `bucket`.
bool Fits(const StepCapacity& step, const StepBucket& bucket);

// What a step runs with when no bucket has it: sizes with as few different numbers of rows as is cheap, because linear
// layers choose their algorithms by them.
StepCapacity EagerCapacity(const StepCapacity& step, const StepCapacity& largest);

// What buffers are allocated for.
StepCapacity LargestStep(int32_t max_num_seqs, int32_t max_num_batched_tokens);

}  // namespace swiftlet::cuda
