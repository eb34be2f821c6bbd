// The models of ../shared/golden/models and what another implementation computed on them (README.md there).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

#include "engine/base/strict_json.h"
#include "tests/testing/effort.h"

namespace swiftlet::tests {

struct GoldenCase {
  std::vector<int32_t> prompt;
  std::vector<int32_t> greedy;     // generated ids
  std::vector<double> top2_gap;    // of the logits each was chosen from; the same length
  std::vector<double> logprob;     // of each
  std::vector<float> last_logits;  // of the prompt's last position
};

// Beside the repository; on a machine without it, under the folder that the test runs in.
inline std::string GoldenModelDirectory(const std::string& name) {
  const std::string beside = SWIFTLET_SOURCE_DIR "/../shared/golden/models/" + name;
  return std::filesystem::exists(beside) ? beside : "golden/models/" + name;
}

// All cases; of those whose prompts are longer than `sanitized_tokens` none in a sanitizer build.
inline std::vector<GoldenCase> ReadGoldenCases(const std::string& directory, size_t sanitized_tokens) {
  const auto file = ReadStrictJsonFile(directory + "/golden.json", 64 << 20);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  std::vector<GoldenCase> cases;
  for (const boost::json::value& entry : file->at("cases").as_array()) {
    cases.push_back({.prompt = boost::json::value_to<std::vector<int32_t>>(entry.at("prompt")),
                     .greedy = boost::json::value_to<std::vector<int32_t>>(entry.at("greedy")),
                     .top2_gap = boost::json::value_to<std::vector<double>>(entry.at("top2_gap")),
                     .logprob = boost::json::value_to<std::vector<double>>(entry.at("logprob")),
                     .last_logits = boost::json::value_to<std::vector<float>>(entry.at("last_logits"))});
  }
  const size_t all = cases.size();
  if (kSanitized) std::erase_if(cases, [&](const GoldenCase& one) { return one.prompt.size() > sanitized_tokens; });
  std::printf("%d of %d cases\n", static_cast<int>(cases.size()), static_cast<int>(all));
  return cases;
}

// Both models, for INSTANTIATE_TEST_SUITE_P(Models, ..., GoldenModels(), GoldenModelName).
inline auto GoldenModels() {
  return testing::Values("tiny-qwen2", "tiny-llama3-tied");
}
inline std::string GoldenModelName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace swiftlet::tests
