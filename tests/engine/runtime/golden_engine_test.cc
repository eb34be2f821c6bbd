// The whole engine on the CPU, from a model directory, against greedy tokens and log-probabilities of another
// implementation.
#include "tests/testing/golden_engine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace swiftlet {
namespace {

class GoldenEngine : public testing::TestWithParam<std::string> {
 protected:
  void Check(const std::string& dtype, double gap, double tolerance) {
    LoadEngineOptions options;
    options.model_directory = tests::GoldenModelDirectory(GetParam());
    if (!std::filesystem::exists(options.model_directory)) GTEST_SKIP() << "no data at " << options.model_directory;
    options.device = "cpu";
    options.dtype = dtype;
    options.num_threads = 2;
    options.config.max_num_seqs = 32;
    options.config.max_num_batched_tokens = 100;  // prompts are cut into chunks
    tests::CheckGoldenEngine(options, gap, tolerance);
  }
};

TEST_P(GoldenEngine, Float32GivesEveryToken) {
  Check("float32", 1e-3, 2e-3);
}

TEST_P(GoldenEngine, StoredTypeGivesTheTokensThatAreNotCloseCalls) {
  Check("auto", 0.1, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenEngine, tests::GoldenModels(), tests::GoldenModelName);

}  // namespace
}  // namespace swiftlet
