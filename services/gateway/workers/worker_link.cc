#include "services/gateway/workers/worker_link.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <span>
#include <utility>

#include <boost/asio/post.hpp>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/attach_protocol.h"
#include "services/common/logging.h"
#include "services/gateway/tokenizers/vocabulary_slices.h"

namespace swiftlet {
namespace {

constexpr int32_t kBlockTokens = 64;  // decided for all of Swiftlet; prefix routing counts in these
constexpr int kSlicesAtOnce = 4;      // of a vocabulary

// What goes to one listener, in the order it came; in the message that all homes share.
struct Delivery {
  std::weak_ptr<WorkListener> listener;
  std::span<v1::SequenceOutput* const> outputs;
};
struct HomeBatch {
  Executor home;
  std::vector<Delivery> deliveries;
};

}  // namespace

// What one stream says, under the number of its attempt.
class WorkerLink::Events : public WorkerStreamEvents {
 public:
  Events(std::weak_ptr<WorkerLink> link, uint64_t attempt) : link_(std::move(link)), attempt_(attempt) {}

  void OnMessage(std::shared_ptr<v1::AttachResponse> message) override {
    const auto link = link_.lock();
    if (link == nullptr) return;
    const std::lock_guard<std::mutex> lock(link->mutex_);
    if (link->attempt_ != attempt_) return;
    // Callers wait for it, and it ends nothing.
    if (link->attached() && (message->has_step_outputs() || message->has_heartbeat())) return link->OnMessage(message);
    link->OnControl(attempt_, [message = std::move(message)](WorkerLink& then) { then.OnMessage(message); });
  }
  void OnClosed(const absl::Status& status) override {
    const auto link = link_.lock();
    if (link != nullptr) link->OnControl(attempt_, [status](WorkerLink& then) { then.OnClosed(status); });
  }

 private:
  const std::weak_ptr<WorkerLink> link_;
  const uint64_t attempt_;
};

WorkerLink::WorkerLink(std::string address, const Options& options, std::mutex& mutex, Executor control, Clock& clock,
                       WorkerTransport& transport, std::function<void()> on_change)
    : address_(std::move(address)),
      options_(options),
      mutex_(mutex),
      control_(std::move(control)),
      clock_(clock),
      transport_(transport),
      on_change_(std::move(on_change)),
      backoff_us_(options.shortest_backoff_us),
      jitter_(static_cast<uint32_t>(options.jitter_seed)) {}

void WorkerLink::Connect() {
  retired_ = false;
  if (state_ == State::kConnecting || state_ == State::kAttached) return;
  state_ = State::kConnecting;
  ++attempt_;
  last_received_us_ = clock_.NowUs();
  stream_ = transport_.Open(address_, std::make_shared<Events>(weak_from_this(), attempt_));
  v1::AttachRequest hello;
  hello.mutable_hello()->mutable_protocol()->set_oldest(attach_protocol::kOldest);
  hello.mutable_hello()->mutable_protocol()->set_newest(attach_protocol::kNewest);
  hello.mutable_hello()->set_gateway_id(options_.gateway_id);
  if (!Send(std::move(hello))) return Fail(absl::UnavailableError("the stream takes no message"));
  SetTimer(options_.heartbeat_us, &WorkerLink::Tick);
}

void WorkerLink::Retire() {
  retired_ = true;
  if (state_ == State::kBackoff || state_ == State::kConnecting) {
    Stop();
  } else {
    on_change_();
  }
}

void WorkerLink::Stop() {
  timer_.reset();
  ++attempt_;
  if (stream_ != nullptr) stream_->Close();
  stream_.reset();
  worker_.reset();
  state_ = State::kStopped;
  LoseRoutes(absl::UnavailableError("the gateway has closed its stream to the worker"));
  on_change_();
}

bool WorkerLink::Send(v1::AttachRequest message) {
  sent_since_tick_ = true;
  return stream_->Send(std::move(message));
}

template <typename Function>
void WorkerLink::OnControl(uint64_t attempt, Function function) {
  boost::asio::post(control_, [weak = weak_from_this(), attempt, function = std::move(function)] {
    const auto link = weak.lock();
    if (link == nullptr) return;
    const std::lock_guard<std::mutex> lock(link->mutex_);
    if (link->attempt_ == attempt) function(*link);
  });
}

void WorkerLink::SetTimer(int64_t delay_us, void (WorkerLink::*then)()) {
  timer_ = clock_.After(control_, delay_us, [this, then] {
    const std::lock_guard<std::mutex> lock(mutex_);
    (this->*then)();
  });
}

bool WorkerLink::Submit(WorkOrder order) {
  CHECK(routable()) << address_;
  const uint64_t request_id = order.submit.request_id();
  Route route;
  route.listener = std::move(order.listener);
  route.home = std::move(order.home);
  route.epoch = order.submit.epoch();
  route.num_open = order.submit.num_choices();
  route.open.assign(route.num_open, true);
  route.unacknowledged_tokens = order.submit.prompt_ids_size() + kTokensPerSequence * route.num_open;
  v1::AttachRequest message;
  *message.mutable_submit() = std::move(order.submit);
  if (!Send(std::move(message))) return false;
  if (routes_.empty()) last_step_us_ = clock_.NowUs();
  unacknowledged_tokens_ += route.unacknowledged_tokens;
  const bool added = routes_.emplace(request_id, std::move(route)).second;
  CHECK(added) << "request id " << request_id << " was used before";
  return true;
}

bool WorkerLink::Cancel(uint64_t request_id) {
  const auto route = routes_.find(request_id);
  if (route == routes_.end()) return false;
  unacknowledged_tokens_ -= route->second.unacknowledged_tokens;
  routes_.erase(route);
  v1::AttachRequest message;
  message.mutable_cancel()->set_request_id(request_id);
  if (Send(std::move(message))) return true;
  // A worker that cannot even be told to cancel would compute for nobody: the end of the stream tells it.
  OnControl(attempt_, [](WorkerLink& link) { link.Fail(absl::UnavailableError("the worker does not take messages")); });
  return true;
}

int64_t WorkerLink::LoadTokens() const {
  return load_.waiting_tokens() +
         kTokensPerSequence * (int64_t{load_.running_sequences()} + load_.waiting_sequences()) + unacknowledged_tokens_;
}

bool WorkerLink::HasCredit(int64_t prompt_tokens) const {
  return !has_load_ || load_.token_credit() >= prompt_tokens + unacknowledged_tokens_;
}

void WorkerLink::OnMessage(const std::shared_ptr<v1::AttachResponse>& message) {
  last_received_us_ = clock_.NowUs();
  if (state_ == State::kConnecting) {
    if (!message->has_hello()) return Fail(absl::InternalError("the worker's first message is not Hello"));
    if (const absl::Status status = TakeHello(message->hello()); !status.ok()) {
      backoff_us_ = options_.longest_backoff_us;  // it will hardly fit in 20 ms
      return Fail(status);
    }
    state_ = State::kAttached;
    backoff_us_ = options_.shortest_backoff_us;
    problem_ = absl::OkStatus();
    LogInfo(
        "attached to a worker",
        {{"address", address_}, {"worker", worker_->worker_id()}, {"model", model().name()}, {"protocol", protocol_}});
    return on_change_();
  }
  switch (message->message_case()) {
    case v1::AttachResponse::kStepOutputs:
      TakeLoad(message->step_outputs().load());
      return Deliver(message);
    case v1::AttachResponse::kHeartbeat:
      return TakeLoad(message->heartbeat().load());
    case v1::AttachResponse::kHello:
      return Fail(absl::InternalError("the worker said Hello twice"));
    case v1::AttachResponse::kVocabularyRequest:
      next_vocabulary_id_ = 0;
      return SendVocabulary();
    case v1::AttachResponse::MESSAGE_NOT_SET:
      return;  // of a newer protocol; a peer within our range sends none that matters
  }
}

absl::Status WorkerLink::TakeHello(const v1::WorkerHello& hello) {
  const v1::ProtocolRange& range = hello.protocol();
  const std::optional<int32_t> version = attach_protocol::Agreed(range.oldest(), range.newest());
  if (!version.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat("the worker speaks protocol ", range.oldest(), " to ",
                                                      range.newest(), ", this gateway ", attach_protocol::kOldest,
                                                      " to ", attach_protocol::kNewest));
  }
  const v1::ModelInfo& model = hello.model();
  if (model.name().empty()) return absl::FailedPreconditionError("the worker names no model");
  if (model.block_tokens() != kBlockTokens) {
    return absl::FailedPreconditionError(
        absl::StrCat("the worker's KV block is ", model.block_tokens(), " tokens, not ", kBlockTokens));
  }
  if (model.logits_width() <= 0 || model.max_model_len() <= 1) {
    return absl::FailedPreconditionError(absl::StrCat("the worker's logits width ", model.logits_width(),
                                                      " or longest sequence ", model.max_model_len(),
                                                      " is impossible"));
  }
  protocol_ = *version;
  worker_ = std::make_shared<v1::WorkerHello>(hello);
  if (fence_.has_value() && fence_->worker_id != hello.worker_id()) fence_.reset();  // another process
  load_.Clear();
  has_load_ = false;
  next_vocabulary_id_.reset();
  return absl::OkStatus();
}

void WorkerLink::TakeLoad(const v1::WorkerLoad& load) {
  const bool was_routable = routable();
  if (!has_load_ || load.step() != load_.step()) last_step_us_ = clock_.NowUs();
  if (fence_.has_value() && load.step() != fence_->step) fence_.reset();
  load_ = load;
  has_load_ = true;
  if (routable() != was_routable) on_change_();
}

void WorkerLink::Deliver(const std::shared_ptr<v1::AttachResponse>& message) {
  auto& all = *message->mutable_step_outputs()->mutable_outputs();
  if (all.empty()) return;
  const std::span<v1::SequenceOutput* const> outputs(&*all.pointer_begin(), static_cast<size_t>(all.size()));
  std::vector<HomeBatch> batches;
  for (size_t begin = 0, end = 0; begin < outputs.size(); begin = end) {
    const uint64_t request_id = outputs[begin]->request_id();
    // Choices of one request stand together as a rule.
    for (end = begin + 1; end < outputs.size() && outputs[end]->request_id() == request_id;) ++end;
    const auto found = routes_.find(request_id);
    if (found == routes_.end()) continue;  // cancelled, or finished
    Route& route = found->second;
    unacknowledged_tokens_ -= std::exchange(route.unacknowledged_tokens, 0);
    auto batch = std::find_if(batches.begin(), batches.end(), [&](const HomeBatch& b) { return b.home == route.home; });
    if (batch == batches.end()) batch = batches.insert(batch, HomeBatch{route.home, {}});
    batch->deliveries.push_back({route.listener, outputs.subspan(begin, end - begin)});
    for (const v1::SequenceOutput* output : batch->deliveries.back().outputs) {
      const int32_t choice = output->choice();
      if (output->finish_reason() == v1::FINISH_REASON_UNSPECIFIED || choice < 0 ||
          choice >= static_cast<int32_t>(route.open.size()) || !route.open[choice]) {
        continue;
      }
      route.open[choice] = false;
      --route.num_open;
    }
    if (route.num_open == 0) routes_.erase(found);
  }
  for (HomeBatch& batch : batches) {
    const Executor home = batch.home;
    boost::asio::post(home, [message, deliveries = std::move(batch.deliveries)] {
      for (const Delivery& delivery : deliveries) {
        if (const auto listener = delivery.listener.lock()) listener->OnOutputs(delivery.outputs);
      }
    });
  }
}

// A few slices, then what else waits has its turn. Where it stops otherwise the next tick goes on.
void WorkerLink::SendVocabulary() {
  if (!attached() || !next_vocabulary_id_.has_value() || !options_.find_model) return;
  const std::shared_ptr<const DirectoryEntry> entry = options_.find_model(model().name());
  if (entry == nullptr || entry->vocabulary == nullptr ||
      entry->tokenizer.tokenizer_hash() != model().tokenizer_hash()) {
    return;
  }
  for (int i = 0; i < kSlicesAtOnce; ++i) {
    v1::AttachRequest message;
    v1::VocabularySlice& slice = *message.mutable_vocabulary();
    const int32_t next = FillVocabularySlice(*entry, *next_vocabulary_id_, slice);
    const bool last = slice.last();
    if (!Send(std::move(message))) return;
    if (last) {
      next_vocabulary_id_.reset();
      LogInfo("vocabulary sent", {{"address", address_}, {"tokens", next}});
      return;
    }
    next_vocabulary_id_ = next;
  }
  OnControl(attempt_, [](WorkerLink& link) { link.SendVocabulary(); });
}

void WorkerLink::Tick() {
  if (clock_.NowUs() - last_received_us_ >= options_.dead_us) {
    return Fail(absl::UnavailableError(state_ == State::kConnecting
                                           ? absl::StrCat("no Hello within ", options_.dead_us / 1000, " ms")
                                           : absl::StrCat("silent for ", options_.dead_us / 1000, " ms")));
  }
  if (!routes_.empty() && clock_.NowUs() - last_step_us_ >= options_.stall_us) {
    fence_ = {worker_->worker_id(), load_.step()};
    return Fail(absl::UnavailableError(
        absl::StrCat("holds work and has run no step for ", options_.stall_us / 1'000'000, " s")));
  }
  SendVocabulary();
  if (!std::exchange(sent_since_tick_, false)) {
    v1::AttachRequest message;
    message.mutable_heartbeat();
    if (!Send(std::move(message))) return Fail(absl::UnavailableError("the worker does not take messages"));
    sent_since_tick_ = false;
  }
  SetTimer(options_.heartbeat_us, &WorkerLink::Tick);
}

void WorkerLink::OnClosed(const absl::Status& status) {
  Fail(absl::UnavailableError(absl::StrCat("the stream has ended: ", status.ToString())));
}

void WorkerLink::Fail(const absl::Status& status) {
  absl::Status problem(status.code(), absl::StrCat("worker ", address_, ": ", status.message()));
  // Once for each new reason: the link tries again twice a second.
  if (problem != problem_ && !retired_) LogWarning("no stream to a worker", {{"reason", ToStd(problem.message())}});
  problem_ = std::move(problem);
  ++attempt_;
  if (stream_ != nullptr) stream_->Close();
  stream_.reset();
  if (retired_) {
    timer_.reset();
    state_ = State::kStopped;
  } else {
    state_ = State::kBackoff;
    const int64_t jitter_us = std::uniform_int_distribution<int64_t>(0, backoff_us_ / 2)(jitter_);
    SetTimer(backoff_us_ + jitter_us, &WorkerLink::Connect);
    backoff_us_ = std::min(2 * backoff_us_, options_.longest_backoff_us);
  }
  LoseRoutes(absl::UnavailableError(problem_.message()));
  worker_.reset();
  on_change_();
}

void WorkerLink::LoseRoutes(const absl::Status& status) {
  const auto lost = std::exchange(routes_, {});
  unacknowledged_tokens_ = 0;
  for (const auto& [request_id, route] : lost) {
    boost::asio::post(route.home, [listener = route.listener, epoch = route.epoch, status] {
      if (const auto alive = listener.lock()) alive->OnWorkLost(epoch, status);
    });
  }
}

}  // namespace swiftlet
