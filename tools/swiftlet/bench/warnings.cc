#include "tools/swiftlet/bench/warnings.h"

#include <absl/strings/str_format.h>

namespace swiftlet::bench {
namespace {

constexpr double kBusyShare = 0.9;
constexpr double kWaitedShare = 0.1;
constexpr double kLateMs = 10;
constexpr double kCachedShare = 0.5;

}  // namespace

std::vector<std::string> Warnings(const Options& options, const RunResult& result) {
  const Measurements& measured = result.measured;
  std::vector<std::string> lines;
  if (result.client.busiest_thread_share > kBusyShare) {
    lines.push_back(absl::StrFormat(
        "the load generator was the bottleneck: a thread of it was busy for %.0f %% of the time; give it more --threads",
        result.client.busiest_thread_share * 100));
  }
  if (result.client.most_waited_share > kWaitedShare) {
    lines.push_back(
        absl::StrFormat("other programs had the load generator's cores: a thread of it waited for one for %.0f %% of the "
                        "time, which is in its figures",
                        result.client.most_waited_share * 100));
  }
  if (const double late_ms = measured.send_lateness.PercentileMs(99); late_ms > kLateMs) {
    lines.push_back(
        absl::StrFormat("requests began late: p99 %.1f ms after they were due, which is in the latencies; the load "
                        "generator or --concurrency was the bottleneck",
                        late_ms));
  }
  if (options.dataset_path.empty() && measured.prompt_tokens > 0) {
    const double share = static_cast<double>(measured.cached_tokens) / static_cast<double>(measured.prompt_tokens);
    if (share > kCachedShare) {
      lines.push_back(
          absl::StrFormat("%.0f %% of the prompts' tokens were in the server's prefix cache: an earlier run had this "
                          "--seed, and so the same prompts",
                          share * 100));
    }
  }
  return lines;
}

}  // namespace swiftlet::bench
