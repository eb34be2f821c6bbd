// swiftlet.v1.TokenizerService: checks a request, hands it to the pool, answers from there. Owned by main, outlives the
// gRPC server; its methods run on gRPC's threads.
#pragma once

#include <absl/status/status.h>
#include <absl/time/civil_time.h>

#include <functional>

#include "services/common/line_limiter.h"
#include "services/common/open_streams.h"
#include "services/tokenizer/encode_pool.h"
#include "services/tokenizer/encode_stream.h"
#include "services/tokenizer/served_model.h"
#include "services/tokenizer/tokenizer_metrics.h"
#include "swiftlet/v1/tokenizer.grpc.pb.h"

namespace swiftlet {

class TokenizerService final : public v1::TokenizerService::CallbackService {
 public:
  // All outlive the service. `local_time`: for templates that print the date; called on the threads that encode.
  TokenizerService(const ServedModels& models, EncodePool& pool, TokenizerMetrics& metrics,
                   std::function<absl::CivilSecond()> local_time);

  grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>* Encode(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::GetVocabularyResponse>* GetVocabulary(grpc::CallbackServerContext* context,
                                                                     const v1::GetVocabularyRequest* request) override;
  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context, const v1::GetInfoRequest* request,
                                    v1::GetInfoResponse* response) override;

  // Any thread. Ends every Encode stream, now and later, as soon as no call of it is open.
  void Close() { streams_.Close(); }

 private:
  absl::StatusOr<const ServedModel*> FindModel(const std::string& name) const;
  absl::Status EncodePrompt(const v1::EncodePromptRequest& request, v1::EncodeResponse& reply) const;
  absl::Status EncodeChat(const v1::EncodeChatRequest& request, v1::EncodeResponse& reply) const;

  const ServedModels& models_;
  EncodePool& pool_;
  TokenizerMetrics& metrics_;
  const std::function<absl::CivilSecond()> local_time_;
  LineLimiter failure_lines_{/*lines_per_s=*/20, /*burst=*/200};
  OpenStreams<EncodeStream> streams_;
};

}  // namespace swiftlet
