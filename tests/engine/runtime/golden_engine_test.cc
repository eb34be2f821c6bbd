// The whole engine on the CPU, from a model directory, against greedy tokens and log-probabilities of another
// implementation.
#include "tests/testing/golden_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace swiftlet {
namespace {

class GoldenEngine : public ::testing::TestWithParam<std::string> {
 protected:
  void Check(const std::string& dtype, double gap, double tolerance) {
    LoadEngineOptions options;
    options.model_directory = testing::GoldenModel(GetParam());
    if (options.model_directory.empty()) GTEST_SKIP() << "no golden data of " << GetParam();
    options.device = "cpu";
    options.dtype = dtype;
    options.num_threads = 2;
    options.config.max_num_seqs = 32;
    options.config.max_num_batched_tokens = 100;
    testing::CheckGoldenEngine(options, gap, tolerance);
  }
};

TEST_P(GoldenEngine, Float32GivesEveryToken) {
  Check("float32", 1e-3, 2e-3);
}

TEST_P(GoldenEngine, StoredTypeGivesTheTokensThatAreNotCloseCalls) {
  Check("auto", 0.1, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenEngine, ::testing::Values("tiny-qwen2", "tiny-llama3-tied"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace swiftlet
