// The gateway's side of one Encode stream: many calls, each with a reply or an error of its own. Made and kept by the
// tokenizer client; alive until gRPC has let go of it. Thread-safe.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "services/gateway/grpc/in_flight_calls.h"
#include "services/gateway/tokenizers/tokenizer_client.h"
#include "swiftlet/v1/tokenizer.grpc.pb.h"

namespace swiftlet {

class GrpcEncodeStream : public grpc::ClientBidiReactor<v1::EncodeRequest, v1::EncodeResponse>,
                         public InFlightCalls::Call {
 public:
  using Done = TokenizerClient::Callback<EncodedPrompt>;

  // Not on a thread of gRPC's. `calls` outlives the stream.
  static std::shared_ptr<GrpcEncodeStream> Start(std::shared_ptr<v1::TokenizerService::Stub> stub,
                                                 InFlightCalls& calls);
  GrpcEncodeStream(std::shared_ptr<v1::TokenizerService::Stub> stub, InFlightCalls& calls)
      : calls_(calls), stub_(std::move(stub)) {}

  const std::shared_ptr<v1::TokenizerService::Stub>& stub() const { return stub_; }
  bool ended();
  // False: the stream takes no more calls; `request` and `done` are as they were. `done` runs on one of gRPC's threads,
  // or, of what is refused here, before this returns.
  bool Encode(v1::EncodeRequest& request, Done& done);
  // `done` is not called any more, unless it runs already.
  void Forget(uint64_t call_id);
  // Takes no more calls, and ends with the last of those it has.
  void Retire();

  void Cancel() override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  struct Queued {
    v1::EncodeRequest message;
    size_t bytes;
  };

  void ReleaseHold();
  // Mutex held.
  void Queue(v1::EncodeRequest message, size_t bytes);
  bool idle() const { return retired_ && open_.empty(); }

  InFlightCalls& calls_;
  const std::shared_ptr<v1::TokenizerService::Stub> stub_;
  grpc::ClientContext context_;
  v1::EncodeResponse reply_;
  std::mutex mutex_;                         // guards all below
  std::unordered_map<uint64_t, Done> open_;  // by call id
  std::deque<Queued> queue_;                 // the first is being written
  size_t queued_bytes_ = 0;
  bool retired_ = false;
  bool hold_removed_ = false;  // the stream is ending
};

}  // namespace swiftlet
