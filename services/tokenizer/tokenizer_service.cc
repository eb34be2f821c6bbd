#include "services/tokenizer/tokenizer_service.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/common/grpc_errors.h"
#include "services/tokenizer/chat_request.h"

namespace swiftlet {

namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Sends slices that are ready; deletes itself when the call is over.
class VocabularyWriter final : public grpc::ServerWriteReactor<v1::GetVocabularyResponse> {
 public:
  VocabularyWriter(const std::vector<v1::GetVocabularyResponse>* slices, absl::Status status, TokenizerMetrics& metrics)
      : slices_(slices), status_(std::move(status)), metrics_(metrics) {
    Next();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      status_ = absl::CancelledError("the caller went away");
      slices_ = nullptr;
    }
    Next();
  }

  void OnDone() override {
    metrics_.Finished(TokenizerMethod::kGetVocabulary, status_.code(), SecondsSince(start_));
    delete this;
  }

 private:
  void Next() {
    if (slices_ == nullptr || at_ == slices_->size()) {
      Finish(status_.ok() ? grpc::Status::OK : ToGrpcStatus(status_));
    } else {
      StartWrite(&(*slices_)[at_++]);
    }
  }

  const std::vector<v1::GetVocabularyResponse>* slices_;  // null: nothing to send
  absl::Status status_;
  TokenizerMetrics& metrics_;
  const Clock::time_point start_ = Clock::now();
  size_t at_ = 0;
};

}  // namespace

TokenizerService::TokenizerService(const ServedModels& models, EncodePool& pool, TokenizerMetrics& metrics,
                                   std::function<absl::CivilSecond()> local_time)
    : models_(models), pool_(pool), metrics_(metrics), local_time_(std::move(local_time)) {}

absl::StatusOr<const ServedModel*> TokenizerService::FindModel(const std::string& name) const {
  const auto found = models_.find(name);
  if (found != models_.end()) return &found->second;
  return WithErrorCode(
      WithParam(absl::NotFoundError(absl::StrCat("the model '", name.substr(0, 100), "' does not exist")), "model"),
      "model_not_found");
}

grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>* TokenizerService::Encode(grpc::CallbackServerContext*) {
  return streams_.Open(std::make_shared<EncodeStream>(
      pool_, metrics_, failure_lines_,
      [this](const v1::EncodeRequest& request, v1::EncodeResponse& reply) {
        if (request.has_chat()) return EncodeChat(request.chat(), reply);
        if (request.has_prompt()) return EncodePrompt(request.prompt(), reply);
        return absl::UnimplementedError("a call of a kind that this tokenizer does not know");
      },
      [this](EncodeStream* done) { streams_.Forget(done); }));
}

absl::Status TokenizerService::EncodePrompt(const v1::EncodePromptRequest& request, v1::EncodeResponse& reply) const {
  ASSIGN_OR_RETURN(const ServedModel* model, FindModel(request.model()));
  RETURN_IF_ERROR(CheckPromptRequest(request));
  const TextSegment segment{request.text(), false};
  const absl::StatusOr<std::vector<int32_t>> ids =
      model->tokenizer->Encode({&segment, 1}, {.add_special_tokens = request.add_special_tokens()});
  if (!ids.ok()) return WithParam(ids.status(), "text");
  metrics_.Encoded(request.text().size(), ids->size());
  reply.mutable_ids()->Assign(ids->begin(), ids->end());
  return absl::OkStatus();
}

absl::Status TokenizerService::EncodeChat(const v1::EncodeChatRequest& request, v1::EncodeResponse& reply) const {
  ASSIGN_OR_RETURN(const ServedModel* model, FindModel(request.model()));
  if (model->chat_template == nullptr) {
    return InvalidField("messages", "the model has no chat template: it takes plain prompts only");
  }
  ASSIGN_OR_RETURN(const ChatTemplateInput input, ParseChatRequest(request, *model->chat_template, local_time_()));
  absl::StatusOr<RenderedChat> chat = model->chat_template->Render(input);
  if (!chat.ok()) return WithParam(chat.status(), "messages");
  std::vector<TextSegment> segments;
  size_t bytes = 0;
  for (const RenderedSegment& segment : chat->segments) {
    segments.push_back({segment.text, !segment.from_user});
    bytes += segment.text.size();
  }
  // The template has spelled every special token already.
  absl::StatusOr<std::vector<int32_t>> ids = model->tokenizer->Encode(segments, {.add_special_tokens = false});
  if (!ids.ok()) return WithParam(ids.status(), "messages");
  metrics_.Encoded(bytes, ids->size());
  reply.mutable_ids()->Assign(ids->begin(), ids->end());
  reply.set_starts_in_reasoning(chat->starts_in_reasoning);
  return absl::OkStatus();
}

grpc::ServerWriteReactor<v1::GetVocabularyResponse>* TokenizerService::GetVocabulary(
    grpc::CallbackServerContext*, const v1::GetVocabularyRequest* request) {
  const absl::StatusOr<const ServedModel*> model = FindModel(request->model());
  return new VocabularyWriter(model.ok() ? &(*model)->vocabulary : nullptr, model.status(), metrics_);
}

grpc::ServerUnaryReactor* TokenizerService::GetInfo(grpc::CallbackServerContext* context, const v1::GetInfoRequest*,
                                                    v1::GetInfoResponse* response) {
  const Clock::time_point start = Clock::now();
  for (const auto& [name, model] : models_) *response->add_models() = model.info;
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  metrics_.Finished(TokenizerMethod::kGetInfo, absl::StatusCode::kOk, SecondsSince(start));
  return reactor;
}

}  // namespace swiftlet
