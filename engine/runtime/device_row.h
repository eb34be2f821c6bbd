// What the device keeps of one running sequence between steps, so that the next step needs nothing from the host.
// Written by the executor's thread: set up when a sequence takes the row, moved on by every draw.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/kernels/sampling.h"
#include "engine/runtime/generation_request.h"

namespace swiftlet {

// The tokens a sequence has seen, for penalties.
class TokenCounts {
 public:
  void AddPrompt(int32_t token_id) { At(token_id).in_prompt = true; }
  void AddOutput(int32_t token_id) { ++At(token_id).output_count; }
  std::span<const TokenCount> counts() const { return counts_; }

 private:
  TokenCount& At(int32_t token_id) {
    const auto [it, added] = index_.try_emplace(token_id, counts_.size());
    if (added) counts_.push_back({.token_id = token_id});
    return counts_[it->second];
  }

  std::vector<TokenCount> counts_;
  absl::flat_hash_map<int32_t, size_t> index_;
};

struct DeviceRow {
  std::shared_ptr<const GenerationRequest> request;  // sampling parameters, stop ids, seed
  int32_t choice = 0;
  int32_t last_token = -1;    // drawn in the last step: the next one's input
  bool done = false;          // a stop token or a failure: later steps planned for this sequence compute nothing
  int32_t mask_slot = -1;     // of the step's masks, for its next draw; -1 = none
  int32_t forced_token = -1;  // taken instead of the next draw; -1 = none
  TokenCounts counts;         // kept while a penalty is not neutral

  bool has_penalties() const {
    const SamplingParams& sampling = request->sampling;
    return sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 || sampling.frequency_penalty != 0;
  }
};

}  // namespace swiftlet
