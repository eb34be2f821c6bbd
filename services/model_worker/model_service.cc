#include "services/model_worker/model_service.h"

#include <algorithm>
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
  const auto attachment = std::make_shared<Attachment>(
      *context, state_, [this] { Wake(); },
      [this](Attachment* done) {
        std::lock_guard<std::mutex> lock(mutex_);
        std::erase_if(attachments_, [done](const auto& one) { return one.get() == done; });
      });
  bool closed;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    attachments_.push_back(attachment);
    closed = closed_;
  }
  attachment->Start();
  if (closed) attachment->Close();
  return attachment.get();
}

grpc::ServerUnaryReactor* ModelService::GetModelInfo(grpc::CallbackServerContext* context,
                                                     const v1::GetModelInfoRequest*,
                                                     v1::GetModelInfoResponse* response) {
  *response->mutable_model() = state_.info();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

void ModelService::Close() {
  std::vector<std::shared_ptr<Attachment>> attachments;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    attachments = attachments_;
  }
  for (const auto& attachment : attachments) attachment->Close();
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
  std::vector<std::shared_ptr<Attachment>> attachments;
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait_for(lock, kTick, [this] { return awake_ || stopping_; });
    if (stopping_) return;
    awake_ = false;
    attachments = attachments_;
    lock.unlock();
    const auto now = std::chrono::steady_clock::now();
    for (const auto& attachment : attachments) attachment->Flush(now);
    for (const auto& attachment : attachments) attachment->WriteLines();
    attachments.clear();
    lock.lock();
  }
}

}  // namespace swiftlet
