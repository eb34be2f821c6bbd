// The CPU's executor: runs steps on a thread of its own, which owns the decoder and the rows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "engine/base/inbox.h"
#include "engine/model/decoder.h"
#include "engine/runtime/device_row.h"
#include "engine/runtime/engine.h"
#include "engine/runtime/executor.h"
#include "engine/runtime/step_batch.h"

namespace swiftlet {

class CpuExecutor final : public Executor {
 public:
  CpuExecutor(std::unique_ptr<Decoder> decoder, int32_t num_rows);
  ~CpuExecutor() override;
  CpuExecutor(const CpuExecutor&) = delete;
  CpuExecutor& operator=(const CpuExecutor&) = delete;

  const ExecutorShape& shape() const override { return shape_; }
  void Launch(StepBatch batch) override;
  StepResult Collect() override;

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
  const ExecutorShape shape_;

  // The executor's thread alone.
  std::vector<DeviceRow> rows_;
  std::vector<std::shared_ptr<const std::vector<uint64_t>>> masks_;  // of the step
  std::vector<int32_t> token_ids_;
  std::vector<DecoderSequence> sequences_;
  std::vector<LogitsRow> logits_rows_;
  std::vector<float> logits_;
  std::vector<SampleScratch> scratches_;

  // The step thread alone.
  int32_t in_flight_ = 0;
  std::vector<StepResult> collected_;  // out of results_, oldest first

  Inbox<StepBatch> batches_{kMaxStepsInFlight};
  Inbox<StepResult> results_{kMaxStepsInFlight};
  std::thread thread_;
};

// An engine on the CPU. What `config` leaves open is chosen for it (CpuDefaults).
absl::StatusOr<std::unique_ptr<Engine>> CreateCpuEngine(const EngineConfig& config, std::unique_ptr<Decoder> decoder,
                                                        EngineCallbacks callbacks = {});

}  // namespace swiftlet
