// The gRPC door: swiftlet.v1.InferenceService, on the callback API. A call's reactions on gRPC's threads do nothing but
// post to the call's home, one of the gateway's io_contexts, where all else happens: method_call.h. Owned by main.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <memory>
#include <string_view>

namespace grpc {
class Service;
}

namespace swiftlet {

class ApiKeys;
class IoThreads;
class MethodCaller;
class RequestLog;

class GrpcDoor {
 public:
  // Told the method ("GenerateOnce") and how each call ended, on io threads.
  using OnEnd = std::function<void(std::string_view method, absl::StatusCode code)>;

  // All outlive the door. `io` runs until the gRPC server has shut down. `log` may be null.
  GrpcDoor(MethodCaller& methods, const ApiKeys& keys, IoThreads& io, RequestLog* log = nullptr, OnEnd on_end = {});
  ~GrpcDoor();

  // To be registered with a GrpcServer.
  grpc::Service& service();

 private:
  class Service;
  const std::unique_ptr<Service> service_;
};

}  // namespace swiftlet
