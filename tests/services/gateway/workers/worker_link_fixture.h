// A WorkerLink whose wire ends in the test, on a virtual clock, and what listeners hear of it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "services/gateway/workers/worker_link.h"
#include "tests/services/gateway/virtual_clock.h"

namespace swiftlet {

// A wire whose other end is the test.
class ManualTransport : public WorkerTransport {
 public:
  struct Stream : WorkerStream {
    bool Send(v1::AttachRequest message) override {
      if (closed || full) return false;
      sent.push_back(std::move(message));
      return true;
    }
    void Close() override { closed = true; }
    std::vector<v1::AttachRequest> sent;
    std::shared_ptr<WorkerStreamEvents> events;
    bool closed = false;
    bool full = false;
  };
  std::shared_ptr<WorkerStream> Open(const std::string&, std::shared_ptr<WorkerStreamEvents> events) override {
    streams.push_back(std::make_shared<Stream>());
    streams.back()->events = std::move(events);
    return streams.back();
  }
  std::vector<std::shared_ptr<Stream>> streams;
};

class Listener : public WorkListener {
 public:
  void OnOutputs(std::span<v1::SequenceOutput* const> outputs) override {
    log.push_back("outputs " + std::to_string(outputs.size()));
  }
  void OnWorkLost(uint32_t epoch, const absl::Status& status) override {
    log.push_back("lost " + std::to_string(epoch) + " " + absl::StatusCodeToString(status.code()));
  }
  std::vector<std::string> log;
};

class WorkerLinkTest : public testing::Test {
 protected:
  WorkerLinkTest() { link_->Connect(); }

  void RunFor(int64_t us) {
    clock_.RunUntil([] { return false; }, us);
  }
  ManualTransport::Stream& stream() { return *transport_.streams.back(); }
  void Say(v1::AttachResponse message) {
    stream().events->OnMessage(std::make_shared<v1::AttachResponse>(std::move(message)));
    RunFor(0);
  }
  void SayHello(const v1::WorkerHello& hello) {
    v1::AttachResponse message;
    *message.mutable_hello() = hello;
    Say(std::move(message));
  }
  void SayHeartbeat(bool draining = false) {
    v1::AttachResponse message;
    message.mutable_heartbeat()->mutable_load()->set_draining(draining);
    Say(std::move(message));
  }
  void SayStep(uint64_t step) {
    v1::AttachResponse message;
    message.mutable_heartbeat()->mutable_load()->set_step(step);
    Say(std::move(message));
  }
  static v1::SequenceOutput Output(uint64_t request_id, int32_t choice, v1::FinishReason reason) {
    v1::SequenceOutput output;
    output.set_request_id(request_id);
    output.set_choice(choice);
    output.set_finish_reason(reason);
    return output;
  }
  WorkOrder Order(uint64_t request_id, const std::shared_ptr<Listener>& listener, int32_t num_choices = 1) {
    WorkOrder order;
    order.submit.set_request_id(request_id);
    order.submit.set_num_choices(num_choices);
    for (int i = 0; i < 100; ++i) order.submit.add_prompt_ids(i);
    order.home = io_.get_executor();
    order.listener = listener;
    return order;
  }

  boost::asio::io_context io_;
  VirtualClock clock_{io_};
  ManualTransport transport_;
  int changes_ = 0;
  std::mutex mutex_;
  std::shared_ptr<WorkerLink> link_ = std::make_shared<WorkerLink>(
      "worker:8201",
      WorkerLink::Options{.gateway_id = "gateway-7", .find_model = [this](const std::string&) { return model_; }},
      mutex_, io_.get_executor(), clock_, transport_, [this] { ++changes_; });
  std::shared_ptr<DirectoryEntry> model_;  // null: unknown
};

}  // namespace swiftlet
