// The ModelWorkerService of one engine: holds the gateways' streams and the thread that writes to them.
// Owned by main; outlives the gRPC server that it is registered with.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "services/model_worker/attachment.h"
#include "services/model_worker/worker_state.h"
#include "swiftlet/v1/model.grpc.pb.h"

namespace swiftlet {

class ModelService final : public v1::ModelWorkerService::CallbackService {
 public:
  // `state` outlives the service.
  explicit ModelService(WorkerState& state);
  ~ModelService() override;

  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* context, const v1::GetModelInfoRequest* request,
                                         v1::GetModelInfoResponse* response) override;

  // Ends every stream, now and later, once what waits for it is written. After the engine has shut down.
  void Close();

 private:
  void SendLoop();
  void Wake();

  WorkerState& state_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Attachment>> attachments_;  // all guarded by mutex_
  bool awake_ = false;
  bool closed_ = false;
  bool stopping_ = false;
  std::thread sender_;
};

}  // namespace swiftlet
