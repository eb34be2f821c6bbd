#include "services/gateway/inference/inference_methods.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/gateway/inference/inference_request.h"
#include "services/gateway/openai/logprobs_text.h"
#include "services/gateway/request/validator.h"

namespace swiftlet {
namespace {

// Behind the validator fields are named as the OpenAI routes spell them: on the way back they get our names.
class NamingSink : public CallSink {
 public:
  // `prompt`: what the request's prompt is called.
  NamingSink(std::unique_ptr<CallSink> sink, std::string_view prompt) : sink_(std::move(sink)), prompt_(prompt) {}

  void OnStart() override { sink_->OnStart(); }
  void OnMessage(google::protobuf::Message& message) override { sink_->OnMessage(message); }
  void OnEnd(const absl::Status& status) override {
    const std::optional<std::string> param = ErrorParam(status);
    sink_->OnEnd(param.has_value() ? WithParam(status, NameOf(*param)) : status);
  }

 private:
  std::string NameOf(const std::string& param) const {
    if (param == "prompt") return std::string(prompt_);
    if (param == "logit_bias") return absl::StrCat(ToAbsl(kGrpcNames.sampling), param);
    for (const absl::string_view name : {"max_tokens", "min_tokens", "stop_token_ids"}) {
      if (param == name) return absl::StrCat(ToAbsl(kGrpcNames.stop), name);
    }
    return param;
  }

  const std::unique_ptr<CallSink> sink_;
  const std::string_view prompt_;
};

std::unique_ptr<CallSink> InOurNames(std::unique_ptr<CallSink> sink, const ValidRequest& request) {
  const bool is_ids = std::holds_alternative<TokenInput>(request.input);
  return std::make_unique<NamingSink>(std::move(sink), is_ids ? kGrpcNames.token_ids : kGrpcNames.text);
}

// Each step's deltas as a message of the stream; the usage in the last.
template <typename Response>
class StreamedAnswer : public GenerationSink {
 public:
  explicit StreamedAnswer(std::unique_ptr<CallSink> sink) : sink_(std::move(sink)) {}

  void OnStart(const PromptFacts&) override { sink_->OnStart(); }
  void OnDeltas(std::vector<ChoiceDelta> deltas) override {
    Response message;
    for (ChoiceDelta& delta : deltas) ToWire(std::move(delta), *message.add_deltas());
    sink_->OnMessage(message);
  }
  void OnEnd(const absl::Status& status, const v1::Usage& usage) override {
    if (status.ok()) {
      Response message;
      *message.mutable_usage() = usage;
      sink_->OnMessage(message);
    }
    sink_->OnEnd(status);
  }

 private:
  const std::unique_ptr<CallSink> sink_;
};

// All deltas of a choice as one.
template <typename Response>
class WholeAnswer : public GenerationSink {
 public:
  WholeAnswer(std::unique_ptr<CallSink> sink, int32_t num_choices) : sink_(std::move(sink)) {
    for (int32_t choice = 0; choice < num_choices; ++choice) message_.add_deltas()->set_choice(choice);
  }

  void OnStart(const PromptFacts&) override { sink_->OnStart(); }
  void OnDeltas(std::vector<ChoiceDelta> deltas) override {
    for (ChoiceDelta& delta : deltas) {
      v1::Delta& whole = *message_.mutable_deltas(delta.choice);
      v1::Delta part;
      ToWire(std::move(delta), part);
      whole.mutable_text()->append(part.text());
      whole.mutable_reasoning()->append(part.reasoning());
      for (v1::ToolCallDelta& call : *part.mutable_tool_calls()) {
        if (call.index() == whole.tool_calls_size()) {
          *whole.add_tool_calls() = std::move(call);
        } else {
          whole.mutable_tool_calls(call.index())->mutable_arguments()->append(call.arguments());
        }
      }
      part.clear_tool_calls();
      part.clear_text();
      part.clear_reasoning();
      whole.MergeFrom(part);
    }
  }
  void OnEnd(const absl::Status& status, const v1::Usage& usage) override {
    if (status.ok()) {
      *message_.mutable_usage() = usage;
      sink_->OnMessage(message_);
    }
    sink_->OnEnd(status);
  }

 private:
  const std::unique_ptr<CallSink> sink_;
  Response message_;
};

absl::StatusOr<ValidRequest> ToValidRequest(const v1::GenerateRequest& request) {
  return FromGenerateRequest(request);
}
absl::StatusOr<ValidRequest> ToValidRequest(const v1::ChatRequest& request) {
  return FromChatRequest(request);
}
absl::StatusOr<ValidRequest> ToValidRequest(const v1::TokenizeRequest& request) {
  return FromTokenizeRequest(request);
}

// With who asks; without an id.
template <typename Request>
absl::StatusOr<ValidRequest> Checked(const Request& request, const CallContext& context, const Generator& generator) {
  ASSIGN_OR_RETURN(ValidRequest valid, ToValidRequest(request));
  RETURN_IF_ERROR(Validate(valid, kGrpcNames, generator.Models()));
  valid.entry = context.caller.entry;
  valid.account = context.caller.account;
  valid.timeout_us = context.timeout_us;
  return valid;
}

v1::ServedModel ToWire(const Generator::ServedModel& model) {
  v1::ServedModel wire;
  wire.set_name(model.name);
  wire.set_max_model_len(model.max_model_len);
  wire.set_created_unix_s(model.created_unix_s);
  return wire;
}

v1::ListModelsResponse ListModels(const Generator& generator) {
  v1::ListModelsResponse response;
  for (const Generator::ServedModel& model : generator.Models()) *response.add_models() = ToWire(model);
  return response;
}

absl::StatusOr<v1::GetModelResponse> GetModel(const Generator& generator, const v1::GetModelRequest& request) {
  if (request.name().empty()) return InvalidField("name", "`name` is missing");
  const auto models = generator.Models();
  const auto found =
      std::find_if(models.begin(), models.end(), [&](const auto& model) { return model.name == request.name(); });
  if (found == models.end()) {
    return WithParam(WithErrorCode(absl::NotFoundError("The model does not exist"), "model_not_found"), "name");
  }
  v1::GetModelResponse response;
  *response.mutable_model() = ToWire(*found);
  return response;
}

// An answer that waits for a tokenizer. On the call's home.
class TokenizeAnswer : public GenerationHandle {
 public:
  TokenizeAnswer(std::unique_ptr<CallSink> sink, bool with_texts) : sink_(std::move(sink)), with_texts_(with_texts) {}

  void Abandon() override { sink_.reset(); }
  void Take(const absl::StatusOr<Generator::TokenizedPrompt>& prompt) {
    const std::unique_ptr<CallSink> sink = std::move(sink_);
    if (sink == nullptr) return;
    if (prompt.ok()) {
      v1::TokenizeResponse response;
      response.mutable_token_ids()->Add(prompt->ids.begin(), prompt->ids.end());
      response.set_max_model_len(prompt->max_model_len);
      const TokenSpelling spelling{prompt->vocabulary};
      if (with_texts_) {
        for (const int32_t id : prompt->ids) response.add_token_texts(SpellToken(spelling, id));
      }
      sink->OnMessage(response);
    }
    sink->OnEnd(prompt.status());
  }

 private:
  std::unique_ptr<CallSink> sink_;  // null once answered or abandoned
  const bool with_texts_;
};

absl::StatusOr<v1::DetokenizeResponse> Detokenize(const Generator& generator, const v1::DetokenizeRequest& request,
                                                  const CallContext& context) {
  if (request.model().empty()) return InvalidField("model", "`model` is missing");
  const auto& ids = request.token_ids();
  auto text =
      generator.Detokenize(request.model(), {ids.data(), static_cast<size_t>(ids.size())}, context.caller.account);
  if (!text.ok()) {
    return ErrorParam(text.status()) == "tokens" ? WithParam(text.status(), "token_ids") : text.status();
  }
  v1::DetokenizeResponse response;
  response.set_text(*std::move(text));
  return response;
}

template <typename Response>
std::shared_ptr<GenerationHandle> AnswerAtOnce(absl::StatusOr<Response> response, CallSink& sink) {
  if (response.ok()) sink.OnMessage(*response);
  sink.OnEnd(response.status());
  return nullptr;
}

// `message` as the type it is.
template <typename T>
const T& As(const google::protobuf::Message& message) {
  return *google::protobuf::DynamicCastToGenerated<T>(&message);
}

}  // namespace

InferenceMethods::InferenceMethods(Generator& generator) : generator_(generator), next_id_(std::random_device()()) {}

template <typename Request, typename Response>
std::shared_ptr<GenerationHandle> InferenceMethods::Generate(const Request& request, bool stream,
                                                             const CallContext& context,
                                                             std::unique_ptr<CallSink> sink) {
  absl::StatusOr<ValidRequest> valid = Checked(request, context, generator_);
  if (!valid.ok()) {
    sink->OnEnd(valid.status());
    return nullptr;
  }
  valid->request_id = absl::StrCat(ToAbsl(context.id_prefix), absl::Hex(next_id_++, absl::kZeroPad8));
  const int32_t num_choices = valid->num_choices;
  sink = InOurNames(std::move(sink), *valid);
  std::unique_ptr<GenerationSink> answer;
  if (stream) {
    answer = std::make_unique<StreamedAnswer<Response>>(std::move(sink));
  } else {
    answer = std::make_unique<WholeAnswer<Response>>(std::move(sink), num_choices);
  }
  return generator_.Start(*std::move(valid), std::move(answer), context.home);
}

std::shared_ptr<GenerationHandle> InferenceMethods::Tokenize(const v1::TokenizeRequest& request,
                                                             const CallContext& context,
                                                             std::unique_ptr<CallSink> sink) {
  absl::StatusOr<ValidRequest> valid = Checked(request, context, generator_);
  if (!valid.ok()) {
    sink->OnEnd(valid.status());
    return nullptr;
  }
  const auto answer =
      std::make_shared<TokenizeAnswer>(InOurNames(std::move(sink), *valid), request.return_token_texts());
  generator_.Tokenize(*std::move(valid), context.home, [answer](auto prompt) { answer->Take(prompt); });
  return answer;
}

std::shared_ptr<GenerationHandle> InferenceMethods::Call(const google::protobuf::MethodDescriptor& method,
                                                         const google::protobuf::Message& request,
                                                         const CallContext& context, std::unique_ptr<CallSink> sink) {
  const std::string& name = method.name();
  const bool stream = method.server_streaming();
  if (method.input_type() == v1::GenerateRequest::descriptor()) {
    return Generate<v1::GenerateRequest, v1::GenerateResponse>(As<v1::GenerateRequest>(request), stream, context,
                                                               std::move(sink));
  }
  if (method.input_type() == v1::ChatRequest::descriptor()) {
    return Generate<v1::ChatRequest, v1::ChatResponse>(As<v1::ChatRequest>(request), stream, context, std::move(sink));
  }
  if (name == "ListModels") return AnswerAtOnce<v1::ListModelsResponse>(ListModels(generator_), *sink);
  if (name == "GetModel") return AnswerAtOnce(GetModel(generator_, As<v1::GetModelRequest>(request)), *sink);
  if (name == "Tokenize") return Tokenize(As<v1::TokenizeRequest>(request), context, std::move(sink));
  CHECK(name == "Detokenize") << "no code for " << method.full_name();
  return AnswerAtOnce(Detokenize(generator_, As<v1::DetokenizeRequest>(request), context), *sink);
}

}  // namespace swiftlet
