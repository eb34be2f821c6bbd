#include "services/common/process_metrics.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "services/common/build_info.h"
#include "services/common/logging.h"

namespace swiftlet {
namespace {

std::string ReadProc(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// Fields of /proc/self/stat that follow the program's name, which may have blanks; proc(5) numbers them from 3 on.
std::vector<std::string> StatFields() {
  const std::string stat = ReadProc("/proc/self/stat");
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return {};
  return absl::StrSplit(stat.substr(name_end + 2), ' ');
}

double Field(const std::vector<std::string>& fields, size_t number) {
  double value = 0;
  if (number - 3 < fields.size() && absl::SimpleAtod(fields[number - 3], &value)) return value;
  return 0;
}

// Seconds since 1970 at which the machine started.
double BootTime() {
  for (const absl::string_view line : absl::StrSplit(ReadProc("/proc/stat"), '\n')) {
    double seconds = 0;
    if (line.substr(0, 6) == "btime " && absl::SimpleAtod(line.substr(6), &seconds)) return seconds;
  }
  return 0;
}

double CountOpenFiles() {
  std::error_code error;
  double count = -1;  // the folder that is being read
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end; at.increment(error)) {
    ++count;
  }
  return count < 0 ? 0 : count;
}

}  // namespace

void AddProcessMetrics(const std::string& process, Metrics& metrics) {
  metrics
      .AddGauge(
          "swiftlet_build_info", "1; the labels say what was built.",
          {{"process", process}, {"version", std::string(BuildVersion())}, {"compiler", std::string(BuildCompiler())}})
      .Set(1);
  prometheus::Counter& cpu =
      metrics.AddCounter("process_cpu_seconds_total", "User and system CPU time of this process.");
  prometheus::Gauge& resident = metrics.AddGauge("process_resident_memory_bytes", "Memory of this process in RAM.");
  prometheus::Gauge& virtual_memory = metrics.AddGauge("process_virtual_memory_bytes", "Address space in use.");
  prometheus::Gauge& open_fds = metrics.AddGauge("process_open_fds", "Open file descriptors.");
  prometheus::Gauge& max_fds = metrics.AddGauge("process_max_fds", "File descriptors that may be open at once.");
  prometheus::Gauge& threads = metrics.AddGauge("process_threads", "Threads of this process.");
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  metrics.AddGauge("process_start_time_seconds", "When this process started, in seconds since 1970.")
      .Set(BootTime() + Field(StatFields(), 22) / ticks);
  prometheus::Counter& lines_lost = metrics.AddCounter(
      "swiftlet_log_lines_lost_total", "Log lines lost because what reads them is slower than what writes them.");
  metrics.AddCollector([&lines_lost, &cpu, &resident, &virtual_memory, &open_fds, &max_fds, &threads, page_bytes] {
    RaiseTo(lines_lost, static_cast<double>(LogLinesLost()));
    rusage usage = {};
    if (getrusage(RUSAGE_SELF, &usage) == 0) RaiseTo(cpu, Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
    const std::vector<std::string> fields = StatFields();
    threads.Set(Field(fields, 20));
    virtual_memory.Set(Field(fields, 23));
    resident.Set(Field(fields, 24) * page_bytes);
    open_fds.Set(CountOpenFiles());
    rlimit files = {};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) max_fds.Set(static_cast<double>(files.rlim_cur));
  });
}

}  // namespace swiftlet
