// A model of a golden folder and what a float32 run of other software made of it. Read once, by one thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace swiftlet {

struct GoldenCase {
  std::vector<int32_t> prompt;
  std::vector<int32_t> greedy;     // what follows, at temperature 0
  std::vector<double> top2_gap;    // for each of `greedy`: how far the best logit was from the second
  std::vector<double> logprob;     // of each of `greedy`
  std::vector<float> last_logits;  // after the prompt
};

struct GoldenModel {
  std::string directory;
  std::string quantization;  // the method that config.json names; empty for none
  std::vector<GoldenCase> cases;
};

// Reads config.json and golden.json of `directory`.
absl::StatusOr<GoldenModel> ReadGoldenModel(const std::string& directory);

}  // namespace swiftlet
