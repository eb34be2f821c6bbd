#include "services/gateway/openai/openai_api.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <optional>
#include <random>
#include <utility>

#include "engine/base/status_macros.h"
#include "services/common/build_info.h"
#include "services/common/errors.h"
#include "services/gateway/json_writer.h"
#include "services/gateway/openai/logprobs_text.h"
#include "services/gateway/openai/openai_answer.h"
#include "services/gateway/openai/openai_request.h"
#include "services/gateway/request/validator.h"
#include "services/gateway/transcode/percent_encoding.h"

namespace swiftlet {
namespace {

// A bijection of 64 bits (splitmix64's output function): distinct counters give distinct ids that do not look alike.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

OpenAiApi::OpenAiApi(Generator& generator, OpenAiApiOptions options)
    : generator_(generator), options_(std::move(options)) {
  std::random_device entropy;
  next_id_ = (static_cast<uint64_t>(entropy()) << 32) | entropy();
}

std::string OpenAiApi::NewId(ParameterRoute route) {
  return absl::StrCat(route == kChatRoute ? "chatcmpl-" : "cmpl-", absl::Hex(Mix(next_id_++), absl::kZeroPad16));
}

void OpenAiApi::Generate(ParameterRoute route, HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  absl::StatusOr<OpenAiRequest> parsed = ParseOpenAiRequest(request.body, route, options_.strict_parameters);
  if (!parsed.ok()) {
    exchange->Respond(ErrorResponse(parsed.status()));
    return;
  }
  if (parsed->num_unknown > 0 && options_.count_unknown) options_.count_unknown(parsed->num_unknown);
  const std::string id = NewId(route);
  const auto models = generator_.Models();
  for (size_t i = 0; i < parsed->generations.size(); ++i) {
    ValidRequest& generation = parsed->generations[i];
    generation.request_id = parsed->generations.size() == 1 ? id : absl::StrCat(id, "-", i);
    generation.account = request.account;
    generation.entry = request.entry;
    if (const absl::Status status = Validate(generation, kOpenAiNames, models); !status.ok()) {
      exchange->Respond(ErrorResponse(status));
      return;
    }
  }
  AnswerOptions answer;
  answer.head.style = route == kChatRoute ? OpenAiStyle::kChat : OpenAiStyle::kCompletion;
  answer.head.id = id;
  answer.head.created_unix_s = absl::ToUnixSeconds(absl::Now());
  answer.head.model = parsed->generations.front().model;
  answer.stream = parsed->stream;
  answer.include_usage = parsed->include_usage;
  answer.continuous_usage = parsed->include_usage && parsed->continuous_usage;
  answer.echo = parsed->generations.front().echo;
  answer.return_token_ids = parsed->generations.front().return_token_ids;
  answer.tokens_as_ids = parsed->tokens_as_ids;
  answer.logprobs = parsed->generations.front().logprobs;
  answer.prompt_logprobs = parsed->prompt_logprobs;
  answer.choices_per_generation = parsed->generations.front().num_choices;
  std::make_shared<OpenAiAnswer>(std::move(answer), std::move(exchange))
      ->Start(generator_, std::move(parsed->generations));
}

void OpenAiApi::Tokenize(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  absl::StatusOr<TokenizeRequest> parsed = ParseTokenizeRequest(request.body, options_.strict_parameters);
  absl::Status status = parsed.status();
  if (status.ok()) status = Validate(parsed->prompt, kOpenAiNames, generator_.Models());
  if (!status.ok()) {
    exchange->Respond(ErrorResponse(status));
    return;
  }
  if (parsed->num_unknown > 0 && options_.count_unknown) options_.count_unknown(parsed->num_unknown);
  parsed->prompt.account = request.account;
  parsed->prompt.entry = std::move(request.entry);
  const auto home = exchange->executor();
  generator_.Tokenize(std::move(parsed->prompt), home,
                      [exchange = std::move(exchange),
                       with_texts = parsed->with_texts](absl::StatusOr<Generator::TokenizedPrompt> prompt) {
                        if (!prompt.ok()) {
                          exchange->Respond(ErrorResponse(prompt.status()));
                          return;
                        }
                        HttpResponse response;
                        response.body = RenderTokenized(*prompt, with_texts);
                        exchange->Respond(std::move(response));
                      });
}

HttpResponse OpenAiApi::Detokenize(const HttpRequest& request) const {
  const absl::StatusOr<DetokenizeRequest> parsed = ParseDetokenizeRequest(request.body, options_.strict_parameters);
  if (!parsed.ok()) return ErrorResponse(parsed.status());
  if (parsed->num_unknown > 0 && options_.count_unknown) options_.count_unknown(parsed->num_unknown);
  const absl::StatusOr<std::string> text = generator_.Detokenize(parsed->model, parsed->ids, request.account);
  if (!text.ok()) return ErrorResponse(text.status());
  HttpResponse response;
  response.body = R"({"prompt":)";
  AppendJsonString(response.body, *text);
  response.body += '}';
  return response;
}

HttpResponse OpenAiApi::Version() const {
  HttpResponse response;
  response.body = R"({"version":)";
  AppendJsonString(response.body, BuildVersion());
  response.body += '}';
  return response;
}

HttpResponse OpenAiApi::ListModels() const {
  HttpResponse response;
  response.body = RenderModelList(generator_.Models());
  return response;
}

HttpResponse OpenAiApi::GetModel(std::string_view name) const {
  const std::optional<std::string> decoded = PercentDecoded(name, PercentDecoding::kAll);
  for (const Generator::ServedModel& model : generator_.Models()) {
    if (decoded != model.name) continue;
    HttpResponse response;
    response.body = RenderModel(model);
    return response;
  }
  return ErrorResponse(
      WithParam(WithErrorCode(absl::NotFoundError("The model does not exist"), "model_not_found"), "model"));
}

}  // namespace swiftlet
