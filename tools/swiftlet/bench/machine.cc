#include "tools/swiftlet/bench/machine.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <sched.h>
#include <sys/utsname.h>

#include <fstream>

namespace swiftlet::bench {

Machine ThisMachine() {
  Machine machine;
  machine.time_utc = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  std::ifstream cpus("/proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);) {
    if (!absl::StartsWith(line, "model name")) continue;
    machine.cpu = std::string(absl::StripAsciiWhitespace(line.substr(line.find(':') + 1)));
    break;
  }
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof(usable), &usable) == 0) machine.cores = CPU_COUNT(&usable);
  std::ifstream("/proc/loadavg") >> machine.load_average;
  utsname names = {};
  if (uname(&names) == 0) machine.system = absl::StrCat(names.sysname, " ", names.release, " ", names.machine);
  return machine;
}

}  // namespace swiftlet::bench
