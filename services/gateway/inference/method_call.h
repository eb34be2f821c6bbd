// One call of a method of swiftlet.v1.InferenceService, whichever door it came through: what the doors hand in, and
// what they get back. No door, no gRPC: the gRPC service and the transcoder see these types.
#pragma once

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

#include "services/gateway/generation/generation.h"

namespace swiftlet {

class KeyAccount;
struct RequestEntry;

// Who calls, as the door found out.
struct Caller {
  std::shared_ptr<KeyAccount> account;  // as in ValidRequest, both
  std::shared_ptr<RequestEntry> entry;
};

struct CallContext {
  boost::asio::any_io_executor home;
  Caller caller;
  std::optional<int64_t> timeout_us;  // from now, > 0
  std::string_view id_prefix;         // of the request id: "grpc-", "rest-"
};

// Where a call's answer goes. Called on the call's home alone.
class CallSink {
 public:
  virtual ~CallSink() = default;
  // The request was taken on: messages follow, unless it fails. At most once; methods that answer at once leave it out.
  virtual void OnStart() = 0;
  // To be moved from. Exactly one for a unary method that succeeds, any number for a stream. Messages of one stream may
  // be merged: MergeFrom of a later one means the same as the two.
  virtual void OnMessage(google::protobuf::Message& message) = 0;
  // The last call, exactly once.
  virtual void OnEnd(const absl::Status& status) = 0;
};

// Thread-safe.
class MethodCaller {
 public:
  virtual ~MethodCaller() = default;
  // On `context.home`, never blocks. `request` is of the method's input type and is not needed afterwards. The sink may
  // be called from inside. Returns what abandons the call (no sink call follows then), or null when it has ended.
  virtual std::shared_ptr<GenerationHandle> Call(const google::protobuf::MethodDescriptor& method,
                                                 const google::protobuf::Message& request, const CallContext& context,
                                                 std::unique_ptr<CallSink> sink) = 0;
};

}  // namespace swiftlet
