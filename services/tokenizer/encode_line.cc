#include "services/tokenizer/encode_line.h"

#include <span>
#include <vector>

#include "services/common/errors.h"
#include "services/common/log_text.h"
#include "services/common/logging.h"
#include "services/common/trace_context.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxModelBytes = 256;

}  // namespace

void WriteEncodeLine(const v1::EncodeRequest& request, const absl::Status& status, int num_tokens,
                     std::chrono::microseconds total, LineLimiter& failures) {
  using std::chrono::duration_cast, std::chrono::microseconds, std::chrono::steady_clock;
  int64_t left_out = 0;
  if (!status.ok()) {
    left_out = failures.Admit(duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
  }
  if (left_out < 0) return;
  const bool is_chat = request.has_chat();
  const v1::TraceContext& trace = is_chat ? request.chat().trace() : request.prompt().trace();
  std::vector<LogField> fields;
  if (const auto parent = ParseTraceParent(trace.traceparent())) {
    fields = {{"trace_id", parent->trace_id}, {"span_id", parent->span_id}};
  }
  fields.emplace_back("kind", is_chat ? "chat" : request.has_prompt() ? "text" : "unknown");
  fields.emplace_back("model",
                      LogTextPrefix(is_chat ? request.chat().model() : request.prompt().model(), kMaxModelBytes));
  if (!status.ok()) fields.emplace_back("error", ErrorWord(status));
  fields.emplace_back("tokens", num_tokens);
  fields.emplace_back("total_us", total.count());
  if (left_out > 0) fields.emplace_back("lines_left_out_before", left_out);
  Log(LogLevel::kInfo, "request", std::span<const LogField>(fields));
}

}  // namespace swiftlet
