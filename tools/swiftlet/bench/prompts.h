// The requests of a run: a pure function of (options, dataset, index), so that two runs send the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/swiftlet/bench/dataset.h"
#include "tools/swiftlet/bench/options.h"

namespace swiftlet::bench {

struct Prompt {
  std::string text;
  std::vector<int32_t> ids;
  std::string messages_json;
  int32_t max_tokens = 0;
  uint64_t seed = 0;  // of the server's draws, below 2^63
};

// Made-up prompts begin with words of their own, so that no prefix is shared.
Prompt MakePrompt(const Options& options, const Dataset& dataset, int64_t index);

// The body of an OpenAI request.
std::string RequestBody(const Options& options, const Prompt& prompt);

}  // namespace swiftlet::bench
