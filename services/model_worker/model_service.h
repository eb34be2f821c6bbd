// The ModelWorkerService of one engine: holds the gateways' streams and the thread that writes to them.
// Owned by main; outlives the gRPC server that it is registered with.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "services/common/open_streams.h"
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
  void Close() { attachments_.Close(); }

 private:
  void SendLoop();
  void Wake();

  WorkerState& state_;
  OpenStreams<Attachment> attachments_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool awake_ = false;     // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::thread sender_;
};

}  // namespace swiftlet
