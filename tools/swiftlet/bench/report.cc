#include "tools/swiftlet/bench/report.h"

#include <array>
#include <string_view>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace swiftlet::bench {
namespace {

constexpr std::array<double, 4> kPercentiles = {50, 90, 95, 99};

std::string Row(std::string_view name, const Samples& samples) {
  std::string row = absl::StrFormat("  %-22s %9.2f", name, samples.mean_us() / 1e3);
  for (const double percent : kPercentiles) absl::StrAppendFormat(&row, " %9.2f", samples.percentile_us(percent) / 1e3);
  absl::StrAppendFormat(&row, " %9.2f\n", samples.percentile_us(100) / 1e3);
  return row;
}

boost::json::object ToJson(const Samples& samples) {
  boost::json::object object;
  object["count"] = samples.count();
  object["mean_ms"] = samples.mean_us() / 1e3;
  for (const double percent : kPercentiles) {
    object[absl::StrCat("p", percent, "_ms")] = samples.percentile_us(percent) / 1e3;
  }
  object["max_ms"] = samples.percentile_us(100) / 1e3;
  return object;
}

std::string Describe(const LengthRange& range) {
  return range.low == range.high ? absl::StrCat(range.low) : absl::StrCat(range.low, ":", range.high);
}

double PerSecond(int64_t count, double wall_s) { return wall_s > 0 ? static_cast<double>(count) / wall_s : 0; }

}  // namespace

std::string RenderTable(const Options& options, const RunResult& result) {
  const Measurements& measured = result.measured;
  std::string table = absl::StrFormat(
      "\n%s, %d streams, %s in / %s out, %s\n", options.model, options.concurrency, Describe(options.input_tokens),
      Describe(options.output_tokens), options.chat ? "/v1/chat/completions" : "/v1/completions");
  absl::StrAppendFormat(&table, "  requests               %9d   in %.2f s, %.2f a second\n", measured.completed,
                        result.wall_s, PerSecond(measured.completed, result.wall_s));
  absl::StrAppendFormat(&table, "  errors                 %9d\n", measured.error_count());
  absl::StrAppendFormat(&table, "  prompt tokens          %9d   (%d from the prefix cache)\n", measured.prompt_tokens,
                        measured.cached_tokens);
  absl::StrAppendFormat(&table, "  output tokens          %9d   %.1f tokens/s\n", measured.completion_tokens,
                        PerSecond(measured.completion_tokens, result.wall_s));
  absl::StrAppendFormat(&table, "  load generator's CPU   %8.1f%%   of one core\n", result.client_cpu_share * 100);
  absl::StrAppendFormat(&table, "\n  %-22s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "mean", "p50", "p90", "p95", "p99",
                        "max");
  table += Row("time to first token", measured.time_to_first_token);
  table += Row("between chunks", measured.inter_token);
  table += Row("end to end", measured.end_to_end);
  for (const auto& [message, count] : measured.errors) absl::StrAppend(&table, "  error x", count, ": ", message, "\n");
  return table;
}

std::string RenderJson(const Options& options, const RunResult& result) {
  const Measurements& measured = result.measured;
  boost::json::object object;
  object["model"] = options.model;
  object["route"] = options.chat ? "/v1/chat/completions" : "/v1/completions";
  object["concurrency"] = options.concurrency;
  object["request_rate"] = options.request_rate;
  object["input_tokens"] = Describe(options.input_tokens);
  object["output_tokens"] = Describe(options.output_tokens);
  object["completed"] = measured.completed;
  object["failed"] = measured.error_count();
  object["wall_s"] = result.wall_s;
  object["requests_per_s"] = PerSecond(measured.completed, result.wall_s);
  object["prompt_tokens_total"] = measured.prompt_tokens;
  object["cached_tokens_total"] = measured.cached_tokens;
  object["output_tokens_total"] = measured.completion_tokens;
  object["output_tokens_per_s"] = PerSecond(measured.completion_tokens, result.wall_s);
  object["client_cpu_share"] = result.client_cpu_share;
  object["time_to_first_token"] = ToJson(measured.time_to_first_token);
  object["inter_token"] = ToJson(measured.inter_token);
  object["end_to_end"] = ToJson(measured.end_to_end);
  boost::json::object errors;
  for (const auto& [message, count] : measured.errors) errors[message] = count;
  object["errors"] = std::move(errors);
  return boost::json::serialize(object);
}

}  // namespace swiftlet::bench
