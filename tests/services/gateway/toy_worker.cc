#include "tests/services/gateway/toy_worker.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "tests/services/gateway/toy_model.h"

namespace swiftlet {
namespace {

int32_t Scripted(const std::string& text, size_t index) {
  return index < text.size() ? static_cast<uint8_t>(text[index]) : toy::kEos;
}

}  // namespace

class ToyWorkers::Stream : public WorkerStream, public std::enable_shared_from_this<Stream> {
 public:
  Stream(ToyWorkers& workers, std::string address, std::shared_ptr<WorkerStreamEvents> events)
      : workers_(workers), address(std::move(address)), events_(std::move(events)) {}

  bool Send(v1::AttachRequest message) override {
    if (closed) return false;
    workers_.clock_.At(100, [self = shared_from_this(), message = std::move(message)]() mutable {
      if (!self->closed) self->workers_.Receive(self, std::move(message));
    });
    return true;
  }
  void Close() override { End(absl::CancelledError("closed by the gateway")); }

  void End(const absl::Status& status) {
    if (std::exchange(closed, true)) return;
    sequences.clear();
    events_->OnClosed(status);
  }
  void Say(v1::AttachResponse message) {
    if (!closed) events_->OnMessage(std::make_shared<v1::AttachResponse>(std::move(message)));
  }

 private:
  ToyWorkers& workers_;

 public:
  const std::string address;
  std::vector<Sequence> sequences;
  bool closed = false;
  bool stepping = false;
  int64_t life = 0;
  int64_t last_arrival_us = 0;  // a stream keeps its order
  uint64_t steps = 0;

 private:
  const std::shared_ptr<WorkerStreamEvents> events_;
};

ToyWorkers::~ToyWorkers() {
  for (const auto& weak : streams_) {
    if (const auto stream = weak.lock()) stream->closed = true;
  }
}

bool ToyWorkers::Chance(double probability) {
  return std::uniform_real_distribution<double>()(random_) < probability;
}

std::shared_ptr<WorkerStream> ToyWorkers::Open(const std::string& address, std::shared_ptr<WorkerStreamEvents> events) {
  auto stream = std::make_shared<Stream>(*this, address, std::move(events));
  const Process& process = processes_[address];
  stream->life = process.life;
  streams_.push_back(stream);
  if (!process.up) {
    clock_.At(200, [stream] { stream->End(absl::UnavailableError("connection refused")); });
  }
  return stream;
}

void ToyWorkers::Kill(const std::string& address, int64_t down_us) {
  Process& process = processes_[address];
  process.up = false;
  process.refusing = false;
  process.silent_until_us = 0;
  ++process.life;
  for (const auto& weak : streams_) {
    if (const auto stream = weak.lock(); stream != nullptr && stream->address == address) {
      stream->End(absl::UnavailableError("connection reset"));
    }
  }
  clock_.At(down_us, [this, address] { processes_[address].up = true; });
}

void ToyWorkers::Receive(const std::shared_ptr<Stream>& stream, v1::AttachRequest message) {
  Process& process = processes_[stream->address];
  if (!process.up || stream->life != process.life) return;
  if (message.has_hello()) {
    v1::AttachResponse answer;
    const auto set = hello_of.find(stream->address);
    *answer.mutable_hello() =
        set != hello_of.end() ? set->second : toy::Hello(stream->address + "#" + std::to_string(process.life));
    Deliver(stream, std::move(answer), 0);
    std::weak_ptr<Stream> weak = stream;
    stream->stepping = true;
    clock_.At(kStepUs, [this, weak] {
      if (const auto alive = weak.lock()) Step(alive);
    });
    return;
  }
  if (message.has_cancel()) {
    ++cancels;
    std::erase_if(stream->sequences,
                  [&](const Sequence& s) { return s.submit.request_id() == message.cancel().request_id(); });
    return;
  }
  if (!message.has_submit()) return;
  const v1::Submit& submit = message.submit();
  ++process.submits;
  seen_.push_back(submit);
  for (int32_t choice = 0; choice < submit.num_choices(); ++choice) {
    Sequence sequence;
    sequence.submit = submit;
    sequence.choice = choice;
    for (const v1::ResumedChoice& resumed : submit.resumed()) {
      if (resumed.choice() == choice) sequence.ids.assign(resumed.ids().begin(), resumed.ids().end());
    }
    stream->sequences.push_back(std::move(sequence));
  }
}

void ToyWorkers::Step(const std::shared_ptr<Stream>& stream) {
  Process& process = processes_[stream->address];
  if (stream->closed || !process.up) return;
  std::weak_ptr<Stream> weak = stream;
  clock_.At(kStepUs, [this, weak] {
    if (const auto alive = weak.lock()) Step(alive);
  });
  if (Chance(faults.kill)) return Kill(stream->address, 1000 * static_cast<int64_t>(random_() % 2000));
  if (Chance(faults.hang)) process.silent_until_us = clock_.NowUs() + 5'000'000;
  if (Chance(faults.fail)) process.refusing = true;
  const int64_t address_load = load_of.contains(stream->address) ? 1 : 0;
  v1::AttachResponse message;
  v1::WorkerLoad* load;
  if (stream->sequences.empty()) {
    if (++stream->steps % 20 != 0) return;
    load = message.mutable_heartbeat()->mutable_load();
  } else {
    load = message.mutable_step_outputs()->mutable_load();
  }
  if (address_load != 0) *load = load_of[stream->address];
  load->set_step(++stream->steps);
  if (address_load == 0) load->set_token_credit(1 << 20);
  std::vector<Sequence> going;
  for (Sequence& sequence : stream->sequences) {
    const v1::Submit& submit = sequence.submit;
    v1::SequenceOutput& output = *message.mutable_step_outputs()->add_outputs();
    output.set_request_id(submit.request_id());
    output.set_choice(sequence.choice);
    output.set_epoch(submit.epoch());
    output.set_first_index(static_cast<int32_t>(sequence.ids.size()));
    if (!std::exchange(sequence.told, true)) output.set_queue_us(1234);
    if (process.refusing) {
      output.set_finish_reason(v1::FINISH_REASON_ERROR);
      output.set_status_code(static_cast<int32_t>(absl::StatusCode::kUnavailable));
      output.set_status_message("device lost");
      continue;
    }
    if (submit.has_grammar() && !grammar_error.empty()) {
      output.set_finish_reason(v1::FINISH_REASON_ERROR);
      output.set_status_code(static_cast<int32_t>(absl::StatusCode::kInvalidArgument));
      output.set_status_message(grammar_error);
      continue;
    }
    const std::span<const int32_t> prompt(submit.prompt_ids().data(), static_cast<size_t>(submit.prompt_ids_size()));
    const auto& stops = submit.stop().stop_token_ids();
    const auto end_of = [&] {
      if (!sequence.ids.empty() && std::find(stops.begin(), stops.end(), sequence.ids.back()) != stops.end()) {
        return v1::FINISH_REASON_STOP;
      }
      return static_cast<int32_t>(sequence.ids.size()) >= submit.stop().max_tokens() ? v1::FINISH_REASON_LENGTH
                                                                                     : v1::FINISH_REASON_UNSPECIFIED;
    };
    if (submit.prompt_logprobs() > 0 && sequence.choice == 0 && sequence.prompt_told < submit.prompt_ids_size()) {
      output.set_prompt_logprobs_begin(sequence.prompt_told);
      for (int i = 0; i < 5 && sequence.prompt_told < submit.prompt_ids_size(); ++i) {
        output.add_prompt_logprobs()->mutable_chosen()->set_token_id(submit.prompt_ids(sequence.prompt_told++));
      }
      going.push_back(std::move(sequence));
      continue;
    }
    v1::FinishReason reason = end_of();  // resumed ids may have ended it
    for (uint64_t i = 1 + random_() % 3; i > 0 && reason == v1::FINISH_REASON_UNSPECIFIED; --i) {
      const int32_t id = script ? Scripted(script(submit, sequence.choice), sequence.ids.size())
                                : toy::NextToken(prompt, sequence.ids, submit.sampling().seed(), sequence.choice);
      sequence.ids.push_back(id);
      output.add_ids(id);
      if (submit.logprobs() > 0) output.add_logprobs()->mutable_chosen()->set_token_id(id);
      reason = end_of();
    }
    output.set_finish_reason(reason);
    if (reason == v1::FINISH_REASON_UNSPECIFIED) going.push_back(std::move(sequence));
  }
  stream->sequences = std::move(going);
  load->set_running_sequences(load->running_sequences() + static_cast<int32_t>(stream->sequences.size()));
  Say(stream, std::move(message));
}

void ToyWorkers::Say(const std::shared_ptr<Stream>& stream, v1::AttachResponse message) {
  if (Chance(faults.drop)) {
    const int64_t later_us = static_cast<int64_t>(random_() % 1'000'000);
    clock_.At(later_us, [stream] { stream->End(absl::UnavailableError("connection reset")); });
    return;
  }
  if (Chance(faults.duplicate)) Deliver(stream, message, 0);
  Deliver(stream, std::move(message), Chance(faults.reorder) ? 25'000 : 0);
}

void ToyWorkers::Deliver(const std::shared_ptr<Stream>& stream, v1::AttachResponse message, int64_t extra_us) {
  int64_t at_us = clock_.NowUs() + 100;
  if (faults.max_delay_us > 0) at_us += static_cast<int64_t>(random_() % static_cast<uint64_t>(faults.max_delay_us));
  at_us = std::max(at_us, processes_[stream->address].silent_until_us);
  at_us = std::max(at_us, stream->last_arrival_us);
  stream->last_arrival_us = at_us;
  clock_.At(at_us + extra_us - clock_.NowUs(),
            [stream, message = std::move(message)]() mutable { stream->Say(std::move(message)); });
}

int64_t ToyWorkers::submits(const std::string& address) const {
  const auto found = processes_.find(address);
  return found == processes_.end() ? 0 : found->second.submits;
}

int64_t ToyWorkers::running() const {
  int64_t running = 0;
  for (const auto& weak : streams_) {
    if (const auto stream = weak.lock()) running += static_cast<int64_t>(stream->sequences.size());
  }
  return running;
}

}  // namespace swiftlet
