#include "tools/swiftlet/bench/client_use.h"

#include <sys/resource.h>
#include <time.h>

#include <fstream>

namespace swiftlet::bench {
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

}  // namespace swiftlet::bench
