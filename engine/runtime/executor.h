// Runs planned steps on the device, in order, on a thread of its own: owns the decoder and the device rows.
// The step thread launches up to kMaxStepsInFlight steps and reads their results later, so that the device never waits
// for the host to read ids: the next step takes them from the rows.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/model/decoder.h"
#include "engine/runtime/device_row.h"
#include "engine/runtime/step_batch.h"

namespace swiftlet {

inline constexpr int32_t kMaxStepsInFlight = 2;

class Executor {
 public:
  Executor(std::unique_ptr<Decoder> decoder, int32_t num_rows);
  ~Executor();  // finishes what was launched
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Step thread. Never blocks; at most kMaxStepsInFlight may be launched and not collected.
  void Launch(StepBatch batch);
  // Step thread. Waits for the oldest launched step.
  StepResult Collect();

 private:
  // One row of logits and what it is for.
  struct LogitsRow {
    int32_t batch_row = 0;
    size_t item = 0;
    int32_t position = 0;  // in the sequence
    bool score = false;    // log-probability of the next prompt token; otherwise the draw of item and forks
    size_t first_sample = 0;
    bool finite = true;
  };

  void Loop();
  StepResult RunStep(StepBatch batch);
  void SetUpRows(const StepBatch& batch);
  void RunForward(const StepPlan& plan, StepResult& result);
  void RunLogits(StepResult& result);
  void UseLogits(LogitsRow& row, std::span<float> logits, SampleScratch& scratch, StepResult& result);
  void Draw(int32_t row, int32_t position, std::span<float> logits, SampleScratch& scratch, StepSample& sample,
            PositionLogprobs& logprobs);

  const std::unique_ptr<Decoder> decoder_;

  // The executor's thread alone.
  std::vector<DeviceRow> rows_;
  std::vector<int32_t> token_ids_;
  std::vector<DecoderSequence> sequences_;
  std::vector<LogitsRow> logits_rows_;
  std::vector<float> logits_;
  std::vector<SampleScratch> scratches_;

  std::mutex mutex_;
  std::condition_variable launched_, finished_;
  std::deque<StepBatch> batches_;   // guarded by mutex_
  std::deque<StepResult> results_;  // guarded by mutex_
  int32_t in_flight_ = 0;           // guarded by mutex_
  bool stopping_ = false;           // guarded by mutex_
  std::thread thread_;
};

}  // namespace swiftlet
