// What becomes of an engine whose device fails: every sequence ends UNAVAILABLE, no token comes after the fault, and
// the owner hears of it once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <thread>

#include "engine/runtime/engine.h"
#include "tests/testing/collecting_sink.h"

namespace swiftlet {
namespace {

using tests::CollectedChoice;
using tests::CollectingSink;

// Draws token 1 for everybody until the step `fault_step`; whatever comes after is token 2, which must never be seen.
class FailingExecutor final : public Executor {
 public:
  explicit FailingExecutor(int fault_step) : fault_step_(fault_step) {
    shape_.vocab_size = 10;
    shape_.max_position = 1000;
    shape_.num_blocks = 40;
  }
  const ExecutorShape& shape() const override { return shape_; }
  void Launch(StepBatch batch) override { plans_.push_back(std::move(batch.plan)); }
  StepResult Collect() override {
    StepResult result;
    result.plan = std::move(plans_.front());
    plans_.pop_front();
    const bool failed = ++step_ >= fault_step_;
    if (failed) result.status = absl::DataLossError("an illegal address");
    for (const StepPlan::Item& item : result.plan.items) {
      for (size_t i = 0; i <= item.forks.size(); ++i) result.samples.push_back({.token_id = failed ? 2 : 1});
    }
    result.logprobs.resize(result.samples.size());
    result.prompt_logprobs.resize(result.plan.items.size());
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    return result;
  }

 private:
  const int fault_step_;
  ExecutorShape shape_;
  std::deque<StepPlan> plans_;
  int step_ = 0;
};

TEST(DeviceFault, EndsEverythingUnavailableAndIsReportedOnce) {
  for (const int fault_step : {1, 2, 7, 50}) {
    SCOPED_TRACE(fault_step);
    EngineConfig config;
    config.max_num_seqs = 4;
    config.max_num_batched_tokens = 64;
    config.max_mixed_tokens = 64;
    std::atomic<int> faults{0};
    EngineCallbacks callbacks;
    callbacks.on_fault = [&](const absl::Status& status) {
      EXPECT_THAT(std::string(status.message()), testing::HasSubstr("an illegal address"));
      ++faults;
    };
    auto engine = Engine::Create(config, std::make_unique<FailingExecutor>(fault_step), callbacks);
    ASSERT_TRUE(engine.ok()) << engine.status();
    const auto sink = std::make_shared<CollectingSink>();
    GenerationRequest request;
    request.prompt_ids.assign(100, 3);
    request.max_tokens = 500;
    request.num_choices = 2;
    int32_t accepted = 0;
    for (uint64_t tag = 0; tag < 6; ++tag) {
      accepted += (*engine)->Submit(tag, request, sink).ok() ? request.num_choices : 0;  // some come too late
    }
    sink->WaitForFinishes(accepted);
    for (const auto& [key, choice] : sink->choices()) {
      EXPECT_EQ(choice.finish_reason, FinishReason::kError);
      EXPECT_EQ(choice.status.code(), absl::StatusCode::kUnavailable) << choice.status;
      EXPECT_THAT(choice.ids, testing::Each(1));
    }
    for (int i = 0; i < 1000 && faults == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ((*engine)->Submit(99, request, sink).code(), absl::StatusCode::kUnavailable);
    (*engine)->Shutdown(1'000'000);
    EXPECT_EQ(faults, 1);
    EXPECT_EQ((*engine)->Stats().kv_blocks_used, 0);
  }
}

}  // namespace
}  // namespace swiftlet
