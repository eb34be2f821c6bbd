#include "services/common/idle_memory.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

namespace swiftlet {
namespace {

constexpr int64_t kWorthShare = 32;  // less than one part in so many is kept for the next request
constexpr int64_t kIdleShare = 50;   // one part in so many of a core

int64_t CpuNs() {
  timespec used = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

// 0 where the system does not tell.
int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");  // pages: all, resident, ...
  std::string line;
  std::getline(file, line);
  const std::vector<absl::string_view> numbers = absl::StrSplit(line, ' ');
  int64_t pages = 0;
  if (numbers.size() < 2 || !absl::SimpleAtoi(numbers[1], &pages)) return 0;
  return pages * sysconf(_SC_PAGESIZE);
}

}  // namespace

void KeepLargeBlocksApart() {
  constexpr int kLargeBytes = 1 << 20, kFreeAtTheEndBytes = 128 << 10;
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  mallopt(M_TRIM_THRESHOLD, kFreeAtTheEndBytes);
}

void IdleMemory::Look() {
  const int64_t cpu_ns = CpuNs();
  const bool idle = cpu_ns - cpu_ns_ < std::chrono::nanoseconds(kInterval).count() / kIdleShare;
  cpu_ns_ = cpu_ns;
  const int64_t resident = ResidentBytes();
  kept_bytes_ = std::min(kept_bytes_, resident);
  if (!idle || resident < kept_bytes_ + kept_bytes_ / kWorthShare) return;
  malloc_trim(0);
  kept_bytes_ = ResidentBytes();
}

}  // namespace swiftlet
