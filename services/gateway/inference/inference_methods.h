// What the methods of swiftlet.v1.InferenceService do, for gRPC and REST alike: one function a method, so that equal
// requests have equal answers and equal errors. Owned by main; thread-safe, calls run on their homes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "services/gateway/inference/method_call.h"
#include "swiftlet/v1/inference.pb.h"

namespace swiftlet {

class InferenceMethods : public MethodCaller {
 public:
  // `generator` outlives the methods.
  explicit InferenceMethods(Generator& generator);

  // `method`: one of the service's.
  std::shared_ptr<GenerationHandle> Call(const google::protobuf::MethodDescriptor& method,
                                         const google::protobuf::Message& request, const CallContext& context,
                                         std::unique_ptr<CallSink> sink) override;

 private:
  template <typename Request, typename Response>
  std::shared_ptr<GenerationHandle> Generate(const Request& request, bool stream, const CallContext& context,
                                             std::unique_ptr<CallSink> sink);

  std::shared_ptr<GenerationHandle> Tokenize(const v1::TokenizeRequest& request, const CallContext& context,
                                             std::unique_ptr<CallSink> sink);

  Generator& generator_;
  std::atomic<uint64_t> next_id_;
};

}  // namespace swiftlet
