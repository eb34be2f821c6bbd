#include "services/model_worker/model_service.h"

#include <chrono>

namespace swiftlet {
namespace {

constexpr std::chrono::milliseconds kTick{50};  // heartbeats and silences are noticed this late

}  // namespace

ModelService::ModelService(WorkerState& state) : state_(state), sender_([this] { SendLoop(); }) {}

ModelService::~ModelService() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  sender_.join();
}

grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* ModelService::Attach(
    grpc::CallbackServerContext* context) {
  return attachments_.Open(std::make_shared<Attachment>(
      *context, state_, [this] { Wake(); }, [this](Attachment* done) { attachments_.Forget(done); }));
}

grpc::ServerUnaryReactor* ModelService::GetModelInfo(grpc::CallbackServerContext* context,
                                                     const v1::GetModelInfoRequest*,
                                                     v1::GetModelInfoResponse* response) {
  *response->mutable_model() = state_.info();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

void ModelService::Wake() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (awake_) return;
    awake_ = true;
  }
  changed_.notify_one();
}

void ModelService::SendLoop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait_for(lock, kTick, [this] { return awake_ || stopping_; });
    if (stopping_) return;
    awake_ = false;
    lock.unlock();
    const auto now = std::chrono::steady_clock::now();
    const auto attachments = attachments_.All();
    for (const auto& attachment : attachments) attachment->Flush(now);
    for (const auto& attachment : attachments) attachment->WriteLines();
    lock.lock();
  }
}

}  // namespace swiftlet
