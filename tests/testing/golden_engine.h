// Golden models against a whole engine (../shared/golden/README.md): 32 requests at once, first cold, then from the
// prefix index.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "engine/runtime/load_engine.h"
#include "tests/testing/collecting_sink.h"
#include "tests/testing/effort.h"
#include "tests/testing/golden_model.h"

namespace swiftlet::tests {

// Compared until the oracle itself was nearer to a tie than `gap`.
inline void ExpectGolden(const CollectedChoice& choice, const GoldenCase& golden, double gap, double tolerance) {
  ASSERT_EQ(choice.ids.size(), golden.greedy.size()) << choice.status;
  for (size_t step = 0; step < golden.greedy.size() && golden.top2_gap[step] >= gap; ++step) {
    ASSERT_EQ(choice.ids[step], golden.greedy[step]) << "step " << step << " gap " << golden.top2_gap[step];
    ASSERT_NEAR(choice.logprobs[step].chosen.logprob, golden.logprob[step], tolerance) << "step " << step;
  }
}

// `tolerance`: of a log-probability.
inline void CheckGoldenEngine(const LoadEngineOptions& options, double gap, double tolerance) {
  const absl::StatusOr<LoadedEngine> loaded = LoadEngine(options);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_LE(loaded->description.kv_blocks, 32 * (loaded->engine->config().max_model_len / 64 + 1))
      << "no more than the sequences can use";
  const std::vector<GoldenCase> cases = ReadGoldenCases(options.model_directory, 200);
  ASSERT_FALSE(cases.empty());
  const int32_t num_requests = Effort(32, 5);
  for (const bool warm : {false, true}) {
    SCOPED_TRACE(warm ? "from the prefix index" : "cold");
    const auto sink = std::make_shared<CollectingSink>();
    for (uint64_t tag = 0; tag < static_cast<uint64_t>(num_requests); ++tag) {
      const GoldenCase& golden = cases[tag % cases.size()];
      GenerationRequest request;
      request.prompt_ids = golden.prompt;
      request.max_tokens = static_cast<int32_t>(golden.greedy.size());
      request.sampling.temperature = 0;
      request.logprobs = 1;
      const absl::Status status = loaded->engine->Submit(tag, request, sink);
      ASSERT_TRUE(status.ok()) << status;
    }
    sink->WaitForFinishes(num_requests);
    for (const auto& [key, choice] : sink->choices()) {
      SCOPED_TRACE(key.first);
      const GoldenCase& golden = cases[key.first % cases.size()];
      ExpectGolden(choice, golden, gap, tolerance);
      if (warm && golden.prompt.size() > 64) {
        EXPECT_GE(choice.cached_tokens, 64);
      }
    }
  }
}

}  // namespace swiftlet::tests
