// Asks a model one question over gRPC and prints the answer as it comes:
//
//   ask 127.0.0.1:8001 demo 'What is 478 + 256?'
//
// It needs gRPC, Protobuf and what protoc makes of proto/swiftlet/v1 and google/{api,rpc}, nothing else of this tree.
// The exit status is 0 for a whole answer, 2 for one that was refused or broke off, 64 for a wrong command line.
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>

#include "swiftlet/v1/inference.grpc.pb.h"

namespace {

// What the details of an error add to its message: the reason, the field at fault, when to try again.
void Explain(const grpc::Status& status) {
  std::cerr << "refused (" << status.error_code() << "): " << status.error_message() << '\n';
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return;
  for (const google::protobuf::Any& detail : details.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad_request;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) std::cerr << "  reason: " << info.reason() << '\n';
    if (detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations())
        std::cerr << "  field: " << violation.field() << '\n';
    }
    if (detail.UnpackTo(&retry)) std::cerr << "  try again in " << retry.retry_delay().seconds() << " s\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: " << argv[0] << " HOST:PORT MODEL QUESTION\n";
    return 64;
  }
  const auto stub =
      swiftlet::v1::InferenceService::NewStub(grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  swiftlet::v1::ChatRequest request;
  request.set_model(argv[2]);
  swiftlet::v1::ChatMessage* message = request.add_messages();
  message->set_role("user");
  message->set_content(argv[3]);
  request.mutable_sampling()->set_seed(7);

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const auto reader = stub->Chat(&context, request);
  swiftlet::v1::ChatResponse part;
  while (reader->Read(&part)) {
    for (const swiftlet::v1::Delta& delta : part.deltas()) std::cout << delta.text() << std::flush;
  }
  std::cout << '\n';
  const grpc::Status status = reader->Finish();
  if (status.ok()) return 0;
  Explain(status);
  return 2;
}
