#include "services/gateway/telemetry/request_spans.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/string_view.h"
#include "services/gateway/generation/finish_reason.h"

namespace swiftlet {
namespace {

// "chat" of what renders a template, as the conventions call it.
bool IsChat(const RequestEntry& entry) {
  return absl::StrContains(absl::AsciiStrToLower(ToAbsl(entry.door == "grpc" ? entry.method : entry.route)), "chat");
}

std::vector<std::string> FinishReasons(const GenerationEntry& generation) {
  std::vector<std::string> names;
  for (const v1::FinishReason reason : generation.record.finish_reasons) names.emplace_back(FinishReasonName(reason));
  return names;
}

// What the conventions for gRPC servers count as an error: the rest is the caller's own.
bool IsServersFault(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

bool HasFailed(const RequestEntry& entry) {
  if (entry.door == "grpc") return IsServersFault(entry.grpc_code);
  return entry.http_status >= 500 || (entry.http_status == 200 && !entry.error.empty() && !entry.caller_gone);
}

class SpanMaker {
 public:
  explicit SpanMaker(RequestEntry& entry) : entry_(entry) {}

  Span Make(std::string id, const std::string& parent, std::string name, Span::Kind kind, int64_t begin_us,
            int64_t end_us) {
    Span span;
    span.trace_id = entry_.span.trace_id;
    span.span_id = std::move(id);
    span.parent_id = parent;
    span.state = entry_.span.state;
    span.name = std::move(name);
    span.kind = kind;
    span.begin_unix_us = UnixUs(begin_us);
    span.end_unix_us = UnixUs(std::max(begin_us, end_us));
    return span;
  }
  // Below the request, between moments of the gateway's Clock.
  Span Child(const char* name, int64_t begin_us, int64_t end_us) {
    return Make(entry_.child_ids.Next(), entry_.span.span_id, name, Span::kInternal, begin_us, end_us);
  }

 private:
  int64_t UnixUs(int64_t clock_us) const { return entry_.arrival_unix_us + clock_us - entry_.arrival_us; }

  RequestEntry& entry_;
};

void AddTransport(const RequestEntry& entry, Span& span) {
  auto& attributes = span.attributes;
  if (entry.door == "grpc") {
    attributes.emplace_back("rpc.system", "grpc");
    attributes.emplace_back("rpc.service", "swiftlet.v1.InferenceService");
    attributes.emplace_back("rpc.method", entry.method);
    attributes.emplace_back("rpc.grpc.status_code", static_cast<int64_t>(entry.grpc_code));
  } else {
    attributes.emplace_back("http.request.method", entry.method);
    if (!entry.route.empty()) attributes.emplace_back("http.route", entry.route);
    if (entry.http_status != 0) attributes.emplace_back("http.response.status_code", int64_t{entry.http_status});
  }
  if (!entry.error.empty()) attributes.emplace_back("error.type", entry.error);
  if (!entry.caller_id.empty()) attributes.emplace_back("swiftlet.caller_id", entry.caller_id);
  if (!entry.key_name.empty()) attributes.emplace_back("swiftlet.key", entry.key_name);
}

void AddAsked(const GenerationEntry& generation, Span& span) {
  auto& attributes = span.attributes;
  const auto number = [&](const char* name, double value) { attributes.emplace_back(name, value); };
  const auto count = [&](const char* name, int64_t value) { attributes.emplace_back(name, value); };
  const v1::SamplingParams& sampling = generation.sampling;
  if (generation.stop.has_max_tokens()) count("gen_ai.request.max_tokens", generation.stop.max_tokens());
  if (sampling.has_temperature()) number("gen_ai.request.temperature", sampling.temperature());
  if (sampling.has_top_p()) number("gen_ai.request.top_p", sampling.top_p());
  if (sampling.has_top_k()) number("gen_ai.request.top_k", sampling.top_k());
  if (sampling.has_frequency_penalty()) number("gen_ai.request.frequency_penalty", sampling.frequency_penalty());
  if (sampling.has_presence_penalty()) number("gen_ai.request.presence_penalty", sampling.presence_penalty());
  if (sampling.has_seed()) count("gen_ai.request.seed", static_cast<int64_t>(sampling.seed()));
  if (generation.num_choices != 1) count("gen_ai.request.choice.count", generation.num_choices);
}

void AddGeneration(const RequestEntry& entry, const GenerationEntry& generation, Span& span) {
  auto& attributes = span.attributes;
  const RequestRecord& record = generation.record;
  attributes.emplace_back("gen_ai.operation.name", IsChat(entry) ? "chat" : "text_completion");
  attributes.emplace_back("gen_ai.provider.name", "swiftlet");
  attributes.emplace_back("gen_ai.request.model", generation.model);
  AddAsked(generation, span);
  attributes.emplace_back("gen_ai.response.id", generation.id);
  attributes.emplace_back("gen_ai.response.finish_reasons", FinishReasons(generation));
  if (!record.model.empty()) attributes.emplace_back("gen_ai.response.model", record.model);
  attributes.emplace_back("gen_ai.usage.input_tokens", int64_t{record.usage.prompt_tokens()});
  attributes.emplace_back("gen_ai.usage.output_tokens", int64_t{record.usage.completion_tokens()});
  attributes.emplace_back("swiftlet.usage.cached_tokens", int64_t{record.usage.cached_tokens()});
  attributes.emplace_back("swiftlet.usage.reasoning_tokens", int64_t{record.usage.reasoning_tokens()});
  if (!generation.worker_id.empty()) attributes.emplace_back("swiftlet.worker", generation.worker_id);
  if (record.resumptions > 0) attributes.emplace_back("swiftlet.resumptions", int64_t{record.resumptions});
}

// tokenize, queue, prefill, decode: each begins where the one before it ends, as far as the generation came.
void AddSteps(const GenerationEntry& generation, SpanMaker& maker, const std::string& parent,
              std::vector<Span>& spans) {
  const RequestRecord& record = generation.record;
  const int64_t begin = generation.begin_us;
  const int64_t end = begin + record.total_us;
  if (!generation.encode_span_id.empty()) {
    const int64_t encoded = record.encode_us >= 0 ? begin + record.encode_us : end;
    Span span = maker.Make(generation.encode_span_id, parent, "tokenize", Span::kClient, begin, encoded);
    span.failed = record.encode_us < 0;
    if (!span.failed) span.attributes.emplace_back("gen_ai.usage.input_tokens", int64_t{record.usage.prompt_tokens()});
    spans.push_back(std::move(span));
  }
  if (generation.submit_us < 0) return;
  const int64_t submitted = begin + generation.submit_us;
  const int64_t first_token = record.first_token_us >= 0 ? begin + record.first_token_us : end;
  // The worker says how long it was; without its word all was waiting.
  const int64_t planned = record.queue_us >= 0 ? std::min(submitted + record.queue_us, first_token) : first_token;
  spans.push_back(maker.Child("queue", submitted, planned));
  if (record.first_token_us < 0) return;
  spans.push_back(maker.Child("prefill", planned, first_token));
  spans.back().attributes.emplace_back("swiftlet.usage.cached_tokens", int64_t{record.usage.cached_tokens()});
  spans.push_back(
      maker.Child("decode", first_token, begin + std::max(generation.last_token_us, record.first_token_us)));
  spans.back().attributes.emplace_back("gen_ai.usage.output_tokens", int64_t{record.usage.completion_tokens()});
}

}  // namespace

std::vector<Span> SpansOf(RequestEntry& entry) {
  SpanMaker maker(entry);
  std::vector<Span> spans;
  const bool generated = !entry.generations.empty();
  std::string name = entry.door == "grpc"  ? absl::StrCat("swiftlet.v1.InferenceService/", entry.method)
                     : entry.route.empty() ? entry.method
                                           : absl::StrCat(entry.method, " ", ToAbsl(entry.route));
  if (generated) name = absl::StrCat(IsChat(entry) ? "chat " : "text_completion ", entry.generations.front().model);
  Span request = maker.Make(entry.span.span_id, entry.span.parent_id, std::move(name), Span::kServer, entry.arrival_us,
                            entry.end_us);
  AddTransport(entry, request);
  request.failed = HasFailed(entry);
  if (entry.caller_gone) request.attributes.emplace_back("swiftlet.caller_gone", "true");
  if (entry.generations.size() == 1) AddGeneration(entry, entry.generations.front(), request);
  spans.push_back(std::move(request));
  for (const GenerationEntry& generation : entry.generations) {
    std::string parent = entry.span.span_id;
    if (entry.generations.size() > 1) {
      Span span = maker.Child("generation", generation.begin_us, generation.begin_us + generation.record.total_us);
      AddGeneration(entry, generation, span);
      span.failed = !generation.error.empty();
      parent = span.span_id;
      spans.push_back(std::move(span));
    }
    AddSteps(generation, maker, parent, spans);
  }
  return spans;
}

}  // namespace swiftlet
