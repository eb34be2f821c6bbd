#include "services/model_worker/worker_state.h"

#include <algorithm>
#include <string>
#include <utility>

#include "services/common/refusal.h"

namespace swiftlet {

WorkerState::WorkerState(Engine& engine, GrammarCompiler& grammars, v1::ModelInfo info, std::string worker_id,
                         int64_t max_waiting_tokens)
    : engine_(engine),
      grammars_(grammars),
      info_(std::move(info)),
      worker_id_(std::move(worker_id)),
      limits_{.model = info_.name(), .logits_width = info_.logits_width(), .max_model_len = info_.max_model_len()},
      max_waiting_tokens_(max_waiting_tokens) {}

bool WorkerState::TakeTokens(int64_t prompt_tokens) {
  const int64_t before = waiting_tokens_.fetch_add(prompt_tokens);
  if (before == 0 || before + prompt_tokens <= max_waiting_tokens_) return true;
  waiting_tokens_ -= prompt_tokens;
  return false;
}

void WorkerState::CountRefusal(const absl::Status& status) {
  std::string word = Refusal(status).value_or("");
  if (absl::IsUnavailable(status)) word = "unavailable";  // it stops, or its device has failed
  if (absl::IsDeadlineExceeded(status)) word = "deadline";
  const bool caller = absl::IsInvalidArgument(status) || absl::IsOutOfRange(status) || absl::IsNotFound(status);
  if (caller) word = "invalid";
  const auto* found = std::find(std::begin(kRefusals), std::end(kRefusals), word);
  const auto* counted = found != std::end(kRefusals) ? found : std::prev(std::end(kRefusals));
  ++refused_[static_cast<size_t>(counted - std::begin(kRefusals))];
}

int64_t WorkerState::AdmitRefusalLine(std::chrono::steady_clock::time_point now) {
  using std::chrono::duration_cast, std::chrono::microseconds;
  return refusal_lines_.Admit(duration_cast<microseconds>(now.time_since_epoch()).count());
}

v1::WorkerLoad WorkerState::Load() const {
  const EngineStats stats = engine_.Stats();
  v1::WorkerLoad load;
  load.set_step(stats.steps);
  load.set_running_sequences(stats.running_sequences);
  load.set_waiting_sequences(stats.waiting_sequences);
  load.set_waiting_tokens(stats.waiting_tokens);
  if (stats.kv_blocks_total > 0) {
    load.set_kv_use(static_cast<float>(stats.kv_blocks_used) / static_cast<float>(stats.kv_blocks_total));
  }
  // An even share of what is left, so that the gateways together do not overrun it.
  const int64_t left = std::max<int64_t>(max_waiting_tokens_ - waiting_tokens_, 0);
  load.set_token_credit(left / std::max(attachments(), 1));
  load.set_draining(draining());
  return load;
}

}  // namespace swiftlet
