#include "services/gateway/telemetry/request_log.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/log_text.h"
#include "services/common/logging.h"
#include "services/gateway/generation/finish_reason.h"
#include "services/gateway/telemetry/gateway_metrics.h"
#include "services/gateway/telemetry/request_spans.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxMethodBytes = 32;

int64_t NowUnixUs() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::microseconds>(system_clock::now().time_since_epoch()).count();
}

// Sums and extremes over a request's generations.
struct Totals {
  explicit Totals(const std::vector<GenerationEntry>& generations) {
    for (const GenerationEntry& generation : generations) {
      const RequestRecord& record = generation.record;
      prompt_tokens += record.usage.prompt_tokens();
      cached_tokens += record.usage.cached_tokens();
      generated_tokens += record.usage.completion_tokens();
      reasoning_tokens += record.usage.reasoning_tokens();
      resumptions += record.resumptions;
      if (generation.submit_us >= 0) submitted = true;
      for (const v1::FinishReason reason : record.finish_reasons) {
        const absl::string_view name = ToAbsl(FinishReasonName(reason));
        if (std::find(finish_reasons.begin(), finish_reasons.end(), name) == finish_reasons.end()) {
          finish_reasons.push_back(name);
        }
      }
    }
  }

  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t reasoning_tokens = 0;
  int64_t resumptions = 0;
  bool submitted = false;                         // a worker was asked
  std::vector<absl::string_view> finish_reasons;  // each once
};

}  // namespace

void RequestEntry::SetStatus(const absl::Status& status) {
  grpc_code = status.code();
  error = ErrorWord(status);
}

void RequestEntry::AddText(std::string& to, std::string_view text) const {
  if (to.size() < text_bytes) to += LogTextPrefix(text, text_bytes - to.size());
}

RequestLog::RequestLog(const RequestLogOptions& options, const Clock& clock, std::function<uint64_t()> random,
                       SpanSink* spans, Metrics& metrics)
    : options_(options),
      clock_(clock),
      random_(std::move(random)),
      spans_(spans),
      refusals_(options.refusal_lines_per_s, options.refusal_lines_burst),
      left_out_(
          metrics.AddCounter("swiftlet_gateway_request_lines_left_out_total",
                             "Log lines of requests that no worker took, left out because they came in a flood.")) {}

std::shared_ptr<RequestEntry> RequestLog::Begin(const Arrival& arrival) {
  // Written by whoever lets go last.
  std::shared_ptr<RequestEntry> entry(new RequestEntry, [this](RequestEntry* ended) {
    End(*ended);
    delete ended;
  });
  entry->clock = &clock_;
  entry->door = arrival.door;
  entry->method = LogTextPrefix(arrival.method, kMaxMethodBytes);
  entry->caller_id = arrival.caller_id;
  entry->span = ContinueTrace(arrival.traceparent, arrival.tracestate, options_.sample_ratio, random_);
  entry->child_ids = SpanIds(random_());
  entry->arrival_us = clock_.NowUs();
  entry->arrival_unix_us = NowUnixUs();
  entry->text_bytes = options_.text_bytes;
  return entry;
}

void RequestLog::End(RequestEntry& entry) {
  if (entry.end_us < 0) entry.end_us = clock_.NowUs();
  if (entry.error.empty()) {
    for (const GenerationEntry& generation : entry.generations) {
      if (entry.error.empty()) entry.error = generation.error;
    }
  }
  WriteLine(entry);
  if (spans_ != nullptr && entry.span.sampled && !entry.quiet) spans_->Take(SpansOf(entry));
}

void RequestLog::WriteLine(const RequestEntry& entry) {
  const Totals totals(entry.generations);
  int64_t left_out = 0;
  // What a worker has taken is bounded by the work; the rest comes as fast as somebody can send it.
  if (!totals.submitted && !entry.quiet) left_out = refusals_.Admit(clock_.NowUs());
  if (left_out < 0) return left_out_.Increment();

  std::vector<LogField> fields;
  fields.reserve(32);
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) fields.emplace_back(key, value);
  };
  const auto number = [&](std::string_view key, int64_t value) {
    if (value >= 0) fields.emplace_back(key, value);
  };
  if (!entry.generations.empty()) text("id", entry.generations.front().id);
  text("caller_id", entry.caller_id);
  text("key", entry.key_name);
  text("trace_id", entry.span.trace_id);
  text("span_id", entry.span.span_id);
  text("parent_span_id", entry.span.parent_id);
  text("door", entry.door);
  text("method", entry.method);
  text("route", entry.route.empty() ? kNoRoute : std::string_view(entry.route));
  if (entry.http_status != 0) number("http_status", entry.http_status);
  if (entry.door == "grpc") text("grpc_code", absl::StatusCodeToString(entry.grpc_code));
  text("error", entry.error);
  if (entry.caller_gone) fields.emplace_back("caller_gone", true);
  if (!entry.generations.empty()) {
    const GenerationEntry& first = entry.generations.front();
    const RequestRecord& record = first.record;
    if (entry.generations.size() > 1) number("generations", static_cast<int64_t>(entry.generations.size()));
    text("model", record.model);
    text("worker", first.worker_id);
    text("finish", absl::StrJoin(totals.finish_reasons, ","));
    number("prompt_tokens", totals.prompt_tokens);
    number("cached_tokens", totals.cached_tokens);
    number("generated_tokens", totals.generated_tokens);
    number("reasoning_tokens", totals.reasoning_tokens);
    number("encode_us", record.encode_us);
    number("queue_us", record.queue_us);
    number("first_token_us", record.first_token_us);
    if (record.first_token_us >= 0) number("decode_us", first.last_token_us - record.first_token_us);
    if (totals.resumptions > 0) number("resumptions", totals.resumptions);
  }
  number("total_us", entry.end_us - entry.arrival_us);
  number("request_bytes", entry.request_bytes);
  number("response_bytes", entry.response_bytes);
  text("prompt", entry.prompt);
  text("answer", entry.answer);
  if (left_out > 0) number("lines_left_out_before", left_out);
  Log(entry.quiet ? LogLevel::kDebug : LogLevel::kInfo, "request", std::span<const LogField>(fields));
}

}  // namespace swiftlet
