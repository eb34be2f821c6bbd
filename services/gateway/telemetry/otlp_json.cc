#include "services/gateway/telemetry/otlp_json.h"

#include <absl/strings/str_cat.h>

#include <cmath>
#include <cstdint>
#include <string_view>
#include <variant>

#include "services/common/build_info.h"
#include "services/common/log_text.h"

namespace swiftlet {
namespace {

// Callers' bytes are among them.
void AppendString(std::string& out, std::string_view text) {
  out += '"';
  AppendLogText(out, text);
  out += '"';
}

struct ValueWriter {
  std::string& out;

  void operator()(const std::string& value) const {
    out += R"({"stringValue":)";
    AppendString(out, value);
    out += '}';
  }
  void operator()(int64_t value) const { absl::StrAppend(&out, R"({"intValue":")", value, R"("})"); }
  // A float's value reads as the caller wrote it: 0.7, not 0.69999999.
  void operator()(double value) const {
    absl::StrAppend(&out, R"({"doubleValue":)", std::isfinite(value) ? static_cast<float>(value) : 0.0f, "}");
  }
  void operator()(const std::vector<std::string>& values) const {
    out += R"({"arrayValue":{"values":[)";
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out += ',';
      (*this)(values[i]);
    }
    out += "]}}";
  }
};

void AppendAttribute(std::string& out, std::string_view key, const SpanValue& value) {
  out += R"({"key":)";
  AppendString(out, key);
  out += R"(,"value":)";
  std::visit(ValueWriter{out}, value);
  out += '}';
}

void AppendSpan(std::string& out, const Span& span) {
  out += R"({"traceId":)";
  AppendString(out, span.trace_id);
  out += R"(,"spanId":)";
  AppendString(out, span.span_id);
  if (!span.parent_id.empty()) {
    out += R"(,"parentSpanId":)";
    AppendString(out, span.parent_id);
  }
  if (!span.state.empty()) {
    out += R"(,"traceState":)";
    AppendString(out, span.state);
  }
  out += R"(,"name":)";
  AppendString(out, span.name);
  constexpr std::string_view kZeros = "000";  // nanoseconds of microseconds
  absl::StrAppend(&out, R"(,"kind":)", static_cast<int>(span.kind), R"(,"startTimeUnixNano":")", span.begin_unix_us);
  out += kZeros;
  absl::StrAppend(&out, R"(","endTimeUnixNano":")", span.end_unix_us);
  out += kZeros;
  out += R"(","attributes":[)";
  for (size_t i = 0; i < span.attributes.size(); ++i) {
    if (i > 0) out += ',';
    AppendAttribute(out, span.attributes[i].first, span.attributes[i].second);
  }
  out += ']';
  if (span.failed) out += R"(,"status":{"code":2})";
  out += '}';
}

}  // namespace

std::string OtlpTracesJson(const std::vector<std::pair<std::string, std::string>>& resource,
                           std::span<const Span> spans) {
  std::string out = R"({"resourceSpans":[{"resource":{"attributes":[)";
  for (size_t i = 0; i < resource.size(); ++i) {
    if (i > 0) out += ',';
    AppendAttribute(out, resource[i].first, resource[i].second);
  }
  out += R"(]},"scopeSpans":[{"scope":{"name":"swiftlet","version":)";
  AppendString(out, BuildVersion());
  out += R"(},"spans":[)";
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0) out += ',';
    AppendSpan(out, spans[i]);
  }
  out += "]}]}]}";
  return out;
}

}  // namespace swiftlet
