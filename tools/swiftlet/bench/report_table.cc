#include "tools/swiftlet/bench/report_table.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "tools/swiftlet/bench/warnings.h"

namespace swiftlet::bench {
namespace {

std::string Loop(const Options& options, const RunResult& result) {
  std::string loop = result.rate > 0 ? absl::StrFormat("open loop, %g requests/s", result.rate)
                                     : absl::StrFormat("closed loop, %d streams", result.concurrency);
  if (result.rate > 0 && options.arrivals.burstiness != 1) {
    absl::StrAppendFormat(&loop, ", burstiness %g", options.arrivals.burstiness);
  }
  if (result.rate > 0 && options.arrivals.burst > 1)
    absl::StrAppendFormat(&loop, ", bursts of %d", options.arrivals.burst);
  if (result.rate > 0 && result.concurrency > 0)
    absl::StrAppendFormat(&loop, ", at most %d at once", result.concurrency);
  return loop;
}

std::string LengthsOf(const Options& options) {
  return absl::StrCat(options.input_tokens.ToString(), " in / ", options.output_tokens.ToString(), " out",
                      options.dataset_path.empty() ? "" : absl::StrCat(", ", options.dataset_path));
}

void AppendTimes(const Measurements& measured, std::string* table) {
  absl::StrAppendFormat(table, "\n  %-22s %9s %9s %9s %9s %9s %9s %9s\n", "milliseconds", "mean", "p50", "p90", "p95",
                        "p99", "p99.9", "max");
  for (const TimeKind& kind : kTimeKinds) {
    const Histogram& times = measured.*kind.member;
    const bool is_said = kind.member == &Measurements::between_events && measured.events == measured.completion_tokens;
    if (times.count() == 0 || is_said) continue;  // events of one token each: inter-token says it
    absl::StrAppendFormat(table, "  %-22s %9.2f", kind.title, times.mean_ns() * 1e-6);
    for (const double percent : kPercentiles) absl::StrAppendFormat(table, " %9.2f", times.PercentileMs(percent));
    absl::StrAppendFormat(table, " %9.2f\n", static_cast<double>(times.max_ns()) * 1e-6);
  }
}

void AppendProblems(const Options& options, const RunResult& result, std::string* table) {
  const Measurements& measured = result.measured;
  if (measured.refused > 0)
    absl::StrAppend(table, "  refused x", measured.refused, ": ", measured.refused_example, "\n");
  for (const auto& [code, found] : measured.failures) {
    absl::StrAppend(table, "  failed x", found.count, ": ", code, ": ", found.example, "\n");
  }
  if (result.interrupted) {
    absl::StrAppend(table, "  interrupted: ", measured.cut_off, " requests were under way and do not count\n");
  }
  for (const std::string& line : Warnings(options, result))
    absl::StrAppend(table, "  warning: ", line, "\n");
}

}  // namespace

std::string RunTable(const Options& options, const RunResult& result) {
  const Measurements& measured = result.measured;
  std::string table = absl::StrCat("\n", options.model, ", ", std::string(RouteName(options.endpoint)), ", ",
                                   Loop(options, result), ", ", LengthsOf(options), "\n");
  const auto row = [&table](const char* name, int64_t count) {
    absl::StrAppendFormat(&table, "  %-22s %9d", name, count);
  };
  row("completed", measured.completed);
  absl::StrAppendFormat(&table, "   in %.2f s, %.2f requests/s\n", result.wall_s, result.PerSecond(measured.completed));
  row("failed", measured.failed());
  absl::StrAppendFormat(&table, "   and %d refused (429)\n", measured.refused);
  row("prompt tokens", measured.prompt_tokens);
  absl::StrAppendFormat(&table, "   %d from the prefix cache\n", measured.cached_tokens);
  row("output tokens", measured.completion_tokens);
  absl::StrAppendFormat(
      &table, "   %.1f tokens/s, %.2f tokens an event\n", result.PerSecond(measured.completion_tokens),
      measured.events > 0 ? static_cast<double>(measured.completion_tokens) / static_cast<double>(measured.events) : 0);
  if (options.has_goodput) {
    row("good", measured.good);
    absl::StrAppendFormat(&table, "   %.1f %%, %.2f requests/s met %s\n", result.GoodShare() * 100,
                          result.PerSecond(measured.good), options.goodput.ToString());
  }
  absl::StrAppendFormat(&table,
                        "  %-22s %8.1f%%   of one core; busiest of %d threads %.1f%%, waited for a core %.1f%%\n",
                        "load generator", result.client.cpu_share * 100, result.client.threads,
                        result.client.busiest_thread_share * 100, result.client.most_waited_share * 100);
  AppendTimes(measured, &table);
  AppendProblems(options, result, &table);
  return table;
}

std::string SweepTableHead(const Options& options) {
  return absl::StrFormat("\n%s, %s, %s\n%11s %9s %10s %9s %9s %9s %9s %9s %9s %7s %7s %7s\n", options.model,
                         RouteName(options.endpoint).data(), LengthsOf(options),
                         options.sweep.over_rate ? "rate" : "streams", "req/s", "tokens/s", "TTFT p50", "TTFT p99",
                         "TPOT p50", "TPOT p99", "e2e p50", "e2e p99", options.has_goodput ? "good" : "", "failed",
                         "refused");
}

std::string SweepTableLine(const Options& options, const RunResult& result) {
  const Measurements& measured = result.measured;
  std::string line =
      absl::StrFormat("%11g %9.2f %10.1f", options.sweep.over_rate ? result.rate : result.concurrency,
                      result.PerSecond(measured.completed), result.PerSecond(measured.completion_tokens));
  for (const Histogram* times :
       {&measured.time_to_first_token, &measured.time_per_output_token, &measured.end_to_end}) {
    absl::StrAppendFormat(&line, " %9.2f %9.2f", times->PercentileMs(50), times->PercentileMs(99));
  }
  const std::string good = options.has_goodput ? absl::StrFormat("%.1f%%", result.GoodShare() * 100) : "";
  absl::StrAppendFormat(&line, " %7s %7d %7d\n", good, measured.failed(), measured.refused);
  AppendProblems(options, result, &line);
  return line;
}

}  // namespace swiftlet::bench
