#include "tools/cc/gateway_load/direct_load.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "services/common/attach_protocol.h"
#include "services/gateway/grpc/worker_transport_grpc.h"

namespace swiftlet {
namespace {

using std::chrono::milliseconds;

// Takes the times of what arrives, on gRPC's thread.
class Arrivals : public WorkerStreamEvents {
 public:
  Arrivals(const TokenTimes& times, size_t requests) : times_(times), sent_ns_(requests) {}

  void OnMessage(std::shared_ptr<v1::AttachResponse> message) override {
    const int64_t now_ns = SteadyNowNs();
    std::lock_guard<std::mutex> lock(mutex_);
    if (message->has_hello()) attached_ = true;
    for (const v1::SequenceOutput& output : message->step_outputs().outputs()) {
      const auto stream = static_cast<int32_t>(output.request_id() - 1);
      for (int32_t index = output.first_index(); index < output.first_index() + output.ids_size(); ++index) {
        const double on_its_way_us = static_cast<double>(now_ns - times_.emitted_ns(stream, index)) * 1e-3;
        if (index > 0) {
          result_.token_added_us.push_back(on_its_way_us);
        } else {
          const int64_t sent_ns = sent_ns_[static_cast<size_t>(stream)];
          result_.first_added_us.push_back(on_its_way_us +
                                           static_cast<double>(times_.submitted_ns(stream) - sent_ns) * 1e-3);
        }
      }
      if (output.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) ++result_.answers;
    }
    changed_.notify_all();
  }
  void OnClosed(const absl::Status&) override {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  void Sent(size_t stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    sent_ns_[stream] = SteadyNowNs();
  }
  bool WaitAttached() {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(5), [this] { return attached_ || closed_; }) && attached_;
  }
  // True when `answers` have ended, or the stream has.
  bool WaitFor(int64_t answers, milliseconds limit) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return result_.answers >= answers || closed_; });
  }
  DirectLoadResult Take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::move(result_);
  }

 private:
  const TokenTimes& times_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int64_t> sent_ns_;  // guarded by mutex_, like all below
  bool attached_ = false;
  bool closed_ = false;
  DirectLoadResult result_;
};

}  // namespace

DirectLoadResult RunDirectLoad(const DirectLoadOptions& options, const TokenTimes& times) {
  const auto requests = static_cast<size_t>(options.rate * options.seconds);
  const auto arrivals = std::make_shared<Arrivals>(times, requests);
  GrpcWorkerTransport transport;
  const auto stream = transport.Open(options.worker_address, arrivals);
  v1::AttachRequest hello;
  hello.mutable_hello()->mutable_protocol()->set_oldest(attach_protocol::kOldest);
  hello.mutable_hello()->mutable_protocol()->set_newest(attach_protocol::kNewest);
  hello.mutable_hello()->set_gateway_id("direct");
  if (!stream->Send(std::move(hello)) || !arrivals->WaitAttached()) return {};
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < requests; ++i) {
    std::this_thread::sleep_until(begin + std::chrono::duration<double>(static_cast<double>(i) / options.rate));
    v1::AttachRequest message;
    v1::Submit& submit = *message.mutable_submit();
    submit.set_request_id(i + 1);
    submit.set_model("mock");
    for (int32_t id = 60; id < 68; ++id) submit.add_prompt_ids(id);
    submit.mutable_sampling()->set_seed(i + 1);
    submit.mutable_stop()->set_max_tokens(options.tokens);
    submit.mutable_stop()->set_ignore_eos(true);
    submit.set_num_choices(1);
    arrivals->Sent(i);
    if (!stream->Send(std::move(message))) break;
  }
  for (int i = 0; i < 40 && !arrivals->WaitFor(static_cast<int64_t>(requests), milliseconds(400)); ++i) {
    v1::AttachRequest heartbeat;
    heartbeat.mutable_heartbeat();
    if (!stream->Send(std::move(heartbeat))) break;
  }
  stream->Close();
  return arrivals->Take();
}

}  // namespace swiftlet
