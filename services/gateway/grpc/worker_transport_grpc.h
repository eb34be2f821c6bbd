// WorkerTransport over gRPC: Attach as a callback-API reactor. Thread-safe; owned by main. Closing it ends all streams
// and waits until no callback runs: what those use, executors and the pool of workers, goes after that.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "services/common/grpc_channel.h"
#include "services/gateway/grpc/in_flight_calls.h"
#include "services/gateway/workers/worker_transport.h"

namespace swiftlet {

class GrpcWorkerTransport : public WorkerTransport {
 public:
  // `max_queued_bytes`: messages of one stream that wait for the network. A prompt of 128k ids takes about 400 kB.
  explicit GrpcWorkerTransport(ChannelMaker channels = {}, size_t max_queued_bytes = 64 << 20)
      : channels_(std::move(channels)), max_queued_bytes_(max_queued_bytes) {}

  // Nothing opens any more. Again does nothing; the destructor closes too.
  void Close() { calls_.CancelAndWait(); }

  std::shared_ptr<WorkerStream> Open(const std::string& address, std::shared_ptr<WorkerStreamEvents> events) override;

 private:
  const ChannelMaker channels_;
  const size_t max_queued_bytes_;
  InFlightCalls calls_;
};

}  // namespace swiftlet
