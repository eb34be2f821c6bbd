#include "services/tokenizer/encode_line.h"

#include <span>
#include <utility>
#include <vector>

#include "services/common/errors.h"
#include "services/common/log_text.h"
#include "services/common/logging.h"
#include "services/common/trace_context.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxModelBytes = 256;

using std::chrono::duration_cast, std::chrono::microseconds, std::chrono::steady_clock;

}  // namespace

EncodeLine::EncodeLine(std::string_view kind, std::string model, const v1::TraceContext& trace, LineLimiter& failures)
    : kind_(kind), model_(std::move(model)), trace_(trace), failures_(failures) {}

absl::Status EncodeLine::End(absl::Status status, const v1::EncodeReply& reply) const {
  const auto now = steady_clock::now();
  int64_t left_out = 0;
  if (!status.ok()) left_out = failures_.Admit(duration_cast<microseconds>(now.time_since_epoch()).count());
  if (left_out < 0) return status;
  std::vector<LogField> fields;
  if (const auto parent = ParseTraceParent(trace_.traceparent())) {
    fields = {{"trace_id", parent->trace_id}, {"span_id", parent->span_id}};
  }
  fields.emplace_back("kind", kind_);
  fields.emplace_back("model", LogTextPrefix(model_, kMaxModelBytes));
  if (!status.ok()) {
    fields.emplace_back("error", ErrorCode(status).value_or(std::string(DefaultErrorCode(status.code()))));
  }
  fields.emplace_back("tokens", reply.ids_size());
  fields.emplace_back("total_us", duration_cast<microseconds>(now - begin_).count());
  if (left_out > 0) fields.emplace_back("lines_left_out_before", left_out);
  Log(LogLevel::kInfo, "request", std::span<const LogField>(fields));
  return status;
}

}  // namespace swiftlet
