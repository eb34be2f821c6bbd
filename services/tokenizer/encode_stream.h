// One Encode stream: calls go to the pool, replies leave in the order in which they are ready. Alive until gRPC and
// every call's job have let go. Threads: gRPC's callback threads (reads, ends of writes, short calls), the pool's
// (other calls), any (Close).
#pragma once

#include <absl/status/status.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "services/common/line_limiter.h"
#include "services/tokenizer/encode_pool.h"
#include "services/tokenizer/tokenizer_metrics.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

class EncodeStream final : public grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>,
                           public std::enable_shared_from_this<EncodeStream> {
 public:
  // On the thread that runs the call: fills in the reply's ids.
  using Encoder = std::function<absl::Status(const v1::EncodeRequest& request, v1::EncodeResponse& reply)>;

  // What is given by reference outlives the stream and its jobs. `failures`: bounds the log's lines of what fails.
  // `on_done` is gRPC's last word.
  EncodeStream(EncodePool& pool, TokenizerMetrics& metrics, LineLimiter& failures, Encoder encoder,
               std::function<void(EncodeStream*)> on_done);
  // The first call, by who made it.
  void Start();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Any thread. Ends the stream as soon as no call is open.
  void Close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Call {
    v1::EncodeRequest request;
    TokenizerMethod method;
    Clock::time_point start;
    std::atomic<bool> cancelled{false};
  };

  // Callback thread; false: the caller breaks the protocol, the stream is ending.
  bool Take(v1::EncodeRequest request);
  void Run(const Call& call);
  void Answer(const Call& call, v1::EncodeResponse reply, const absl::Status& status);
  // Whatever can be done now: the next write, the end. Takes the lock away.
  void GoOn(std::unique_lock<std::mutex> lock);
  void End(const grpc::Status& status);

  EncodePool& pool_;
  TokenizerMetrics& metrics_;
  LineLimiter& failures_;
  const Encoder encoder_;
  const std::function<void(EncodeStream*)> on_done_;
  v1::EncodeRequest request_;  // the read in flight

  std::mutex mutex_;                                           // guards all below
  std::shared_ptr<EncodeStream> self_;                         // until OnDone
  std::unordered_map<uint64_t, std::shared_ptr<Call>> calls_;  // by id, those without a reply yet
  std::deque<v1::EncodeResponse> replies_;                     // the first is being written
  bool reading_ = true;  // a read is in flight; none is while too much waits for the caller to read
  bool writing_ = false;
  bool half_closed_ = false;  // the caller sends no more
  bool closing_ = false;
  bool ending_ = false;
  bool finished_ = false;
  grpc::Status final_status_;
};

}  // namespace swiftlet
