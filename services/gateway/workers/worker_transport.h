// The wire between a gateway and a worker as the link sees it: one bidirectional stream of Attach messages. gRPC
// implements it (worker_transport_grpc.h); tests implement it with faults.
#pragma once

#include <absl/status/status.h>

#include <memory>
#include <string>

#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

// What a stream tells its owner: on any thread, one call at a time, in order.
class WorkerStreamEvents {
 public:
  virtual ~WorkerStreamEvents() = default;
  // The message may live on an arena: what is kept of it longer than the pointer is copied.
  virtual void OnMessage(std::shared_ptr<v1::AttachResponse> message) = 0;
  // The last call, exactly once.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// Any thread. Destroying the last reference closes.
class WorkerStream {
 public:
  virtual ~WorkerStream() = default;
  // Queues the message; never blocks. False: the queue's bound is reached, or the stream is closed.
  virtual bool Send(v1::AttachRequest message) = 0;
  // Idempotent; what is queued may be lost. OnClosed follows.
  virtual void Close() = 0;
};

class WorkerTransport {
 public:
  virtual ~WorkerTransport() = default;
  // Begins an attempt at host:port; failure to connect is an OnClosed. Events come after this returned.
  virtual std::shared_ptr<WorkerStream> Open(const std::string& address,
                                             std::shared_ptr<WorkerStreamEvents> events) = 0;
};

}  // namespace swiftlet
