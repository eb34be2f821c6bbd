#include "tools/swiftlet/bench/client_use.h"

#include <absl/strings/str_format.h>
#include <sys/resource.h>
#include <time.h>

#include <fstream>

namespace swiftlet::bench {
namespace {

constexpr double kBusyShare = 0.9;
constexpr double kWaitedShare = 0.1;
constexpr double kLateMs = 10;  // p99; latencies count from the time due, so it is in them

}  // namespace

ThreadUse ThisThreadUse() {
  ThreadUse use;
  timespec cpu = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  use.cpu_s = static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) * 1e-9;
  // Nanoseconds on a core, nanoseconds ready without one, ...; absent in kernels built without it.
  std::ifstream statistics("/proc/thread-self/schedstat");
  double ran_ns = 0;
  double waited_ns = 0;
  if (statistics >> ran_ns >> waited_ns) use.waited_s = waited_ns * 1e-9;
  return use;
}

double ProcessCpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

std::vector<std::string> ClientWarnings(const ClientUse& use, const Measurements& measured) {
  std::vector<std::string> lines;
  if (use.busiest_thread_share > kBusyShare) {
    lines.push_back(
        absl::StrFormat("the load generator was the bottleneck: a thread of it was busy for %.0f %% of the time; give "
                        "it more --threads",
                        use.busiest_thread_share * 100));
  }
  if (use.most_waited_share > kWaitedShare) {
    lines.push_back(
        absl::StrFormat("other programs had the load generator's cores: it waited for one for %.0f %% of the time, "
                        "which is in its figures",
                        use.most_waited_share * 100));
  }
  if (const double late_ms = measured.send_lateness.PercentileMs(99); late_ms > kLateMs) {
    lines.push_back(
        absl::StrFormat("requests began late: p99 %.1f ms after they were due, which is in the latencies; "
                        "the load generator or --concurrency was the bottleneck",
                        late_ms));
  }
  return lines;
}

}  // namespace swiftlet::bench
