// The stream between this gateway and one worker: Hello, heartbeats, reconnecting, and who waits for which output.
// Knows the protocol, not the wire (WorkerTransport). Owned by WorkerPool, whose lock guards it: its callers hold that,
// what it hears takes it. Whatever opens, closes or waits happens on the control executor, where the timers are; Submit
// and Cancel come from any thread.
//
//   kBackoff --timer--> kConnecting --Hello fits--> kAttached --closed, silent, or broke the protocol--> kBackoff
//
// The link always drains the stream: a step's outputs go from the transport's thread at once to the homes of those who
// wait, one post a home.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "services/gateway/clock.h"
#include "services/gateway/model_directory.h"
#include "services/gateway/workers/work_order.h"
#include "services/gateway/workers/worker_transport.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

class WorkerLink : public std::enable_shared_from_this<WorkerLink> {
 public:
  struct Options {
    std::string gateway_id;          // 1 to 64 characters, told to the worker
    int64_t heartbeat_us = 500'000;  // something is sent at least this often
    int64_t dead_us = 3'000'000;     // silence of the worker after which it is given up, Hello included
    // A worker that holds work of ours and runs no step for so long is fenced: its orders are lost, and it gets none
    // until it steps again. Longer than the longest step: a full batch of prompts of a large model on a CPU takes a
    // minute.
    int64_t stall_us = 120'000'000;
    int64_t shortest_backoff_us = 20'000;  // doubles up to the longest, each with up to half as much jitter
    int64_t longest_backoff_us = 2'000'000;
    uint64_t jitter_seed = 0;
    // The model of that name with its vocabulary, which a worker may ask for; null while it is not there.
    std::function<std::shared_ptr<const DirectoryEntry>(const std::string&)> find_model = {};
  };

  // What is given by reference outlives the link. `on_change` runs with the lock held when routable(), the model or
  // retirement changed.
  WorkerLink(std::string address, const Options& options, std::mutex& mutex, Executor control, Clock& clock,
             WorkerTransport& transport, std::function<void()> on_change);

  void Connect();
  // The address is no longer listed: takes no new work and does not reconnect. Connect() takes that back.
  void Retire();
  // Closes; every order is lost. No reconnecting.
  void Stop();

  // False: the way to the worker is full. Only while routable().
  bool Submit(WorkOrder order);
  // Tells the worker, and forgets who waits. False when the id is not under way here.
  bool Cancel(uint64_t request_id);

  const std::string& address() const { return address_; }
  bool attached() const { return state_ == State::kAttached; }
  bool routable() const { return attached() && !load_.draining() && !retired_ && !fence_.has_value(); }
  bool retired() const { return retired_; }
  bool finished() const { return retired_ && state_ == State::kStopped; }
  // What the worker said of itself. Only while attached.
  const std::shared_ptr<const v1::WorkerHello>& worker() const { return worker_; }
  const v1::ModelInfo& model() const { return worker_->model(); }
  const std::string& worker_id() const { return worker_->worker_id(); }
  int32_t protocol() const { return protocol_; }  // the version agreed on
  // Tokens of work ahead of a new request: as the worker last reported, and what it has not acknowledged yet.
  int64_t LoadTokens() const;
  // False when the worker has said that it would refuse a prompt of this length.
  bool HasCredit(int64_t prompt_tokens) const;
  int64_t outstanding() const { return static_cast<int64_t>(routes_.size()); }
  // Why the link is not attached, for the log.
  const absl::Status& problem() const { return problem_; }

 private:
  enum class State { kStopped, kBackoff, kConnecting, kAttached };
  class Events;

  // Who waits for the outputs of one submission.
  struct Route {
    std::weak_ptr<WorkListener> listener;
    Executor home;
    uint32_t epoch = 0;
    int64_t unacknowledged_tokens = 0;  // until its first output
    std::vector<bool> open;             // by choice
    int32_t num_open = 0;
  };

  // A worker that stood still, and where.
  struct Fence {
    std::string worker_id;
    uint64_t step = 0;
  };

  void OnMessage(const std::shared_ptr<v1::AttachResponse>& message);
  void OnClosed(const absl::Status& status);
  absl::Status TakeHello(const v1::WorkerHello& hello);
  void TakeLoad(const v1::WorkerLoad& load);
  void Deliver(const std::shared_ptr<v1::AttachResponse>& message);
  void SendVocabulary();
  void Tick();
  // Runs `function(link)` there soon, with the lock, unless that stream is no longer ours.
  template <typename Function>
  void OnControl(uint64_t attempt, Function function);
  // Runs `then` there, with the lock.
  void SetTimer(int64_t delay_us, void (WorkerLink::*then)());
  void Fail(const absl::Status& status);
  void LoseRoutes(const absl::Status& status);
  bool Send(v1::AttachRequest message);

  const std::string address_;
  const Options options_;
  std::mutex& mutex_;  // the pool's
  const Executor control_;
  Clock& clock_;
  WorkerTransport& transport_;
  const std::function<void()> on_change_;

  State state_ = State::kStopped;
  bool retired_ = false;
  uint64_t attempt_ = 0;  // counts streams; what an earlier one still says is ignored
  std::shared_ptr<WorkerStream> stream_;
  std::unique_ptr<Timer> timer_;  // backoff, or the next tick
  int64_t backoff_us_;
  std::minstd_rand jitter_;
  int64_t last_received_us_ = 0;
  bool sent_since_tick_ = false;
  std::shared_ptr<const v1::WorkerHello> worker_;
  int32_t protocol_ = 0;  // agreed on with worker_
  v1::WorkerLoad load_;
  bool has_load_ = false;
  std::optional<int32_t> next_vocabulary_id_;  // the worker waits for the vocabulary from here on
  int64_t last_step_us_ = 0;  // when its step counter rose last, or when it got work while it had none of ours
  std::optional<Fence> fence_;
  int64_t unacknowledged_tokens_ = 0;           // sum over routes_
  std::unordered_map<uint64_t, Route> routes_;  // by request id of this stream
  absl::Status problem_ = absl::UnavailableError("not connected yet");
};

}  // namespace swiftlet
