#include "services/model_worker/work_line.h"

#include <algorithm>
#include <vector>

#include "services/common/logging.h"
#include "services/common/trace_context.h"

namespace swiftlet {
namespace {

int64_t UsBetween(WorkLine::Clock::time_point begin, WorkLine::Clock::time_point end) {
  return std::chrono::duration_cast<std::chrono::microseconds>(end - begin).count();
}

}  // namespace

WorkLine::WorkLine(const v1::Submit& submit, Clock::time_point now)
    : request_id_(submit.request_id()), epoch_(submit.epoch()), prompt_tokens_(submit.prompt_ids_size()), begin_(now) {
  if (const auto parent = ParseTraceParent(submit.trace().traceparent())) {
    trace_id_ = parent->trace_id;
    span_id_ = parent->span_id;
  }
}

void WorkLine::Take(const SequenceOutput& output, Clock::time_point now) {
  generated_tokens_ += static_cast<int64_t>(output.ids.size());
  cached_tokens_ = std::max<int64_t>(cached_tokens_, output.cached_tokens);
  if (queue_us_ < 0 && output.queue_us > 0) queue_us_ = output.queue_us;
  if (first_token_ == Clock::time_point() && !output.ids.empty()) first_token_ = now;
  if (output.finish_reason == FinishReason::kNone) return;
  finish_ = output.finish_reason;
  end_ = now;
  if (!output.status.ok()) status_ = output.status;
}

void WorkLine::CutOff(Clock::time_point now) {
  finish_ = FinishReason::kCancelled;
  end_ = now;
}

void WorkLine::Write(const std::string& gateway, int64_t left_out) const {
  std::vector<LogField> fields = {{"gateway", gateway}, {"request", request_id_}};
  if (!trace_id_.empty()) {
    fields.emplace_back("trace_id", trace_id_);
    fields.emplace_back("span_id", span_id_);
  }
  if (epoch_ > 0) fields.emplace_back("epoch", epoch_);
  fields.emplace_back("finish", FinishWord(finish_));
  if (!status_.ok()) fields.emplace_back("error", absl::StatusCodeToString(status_.code()));
  fields.emplace_back("prompt_tokens", prompt_tokens_);
  fields.emplace_back("cached_tokens", cached_tokens_);
  fields.emplace_back("generated_tokens", generated_tokens_);
  if (queue_us_ >= 0) fields.emplace_back("queue_us", queue_us_);
  if (first_token_ != Clock::time_point()) fields.emplace_back("first_token_us", UsBetween(begin_, first_token_));
  fields.emplace_back("total_us", UsBetween(begin_, end_));
  if (left_out > 0) fields.emplace_back("lines_left_out_before", left_out);
  Log(LogLevel::kInfo, "request", std::span<const LogField>(fields));
}

}  // namespace swiftlet
