#include "services/common/file_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace swiftlet {

int64_t RaiseFileLimit() {
  constexpr rlim_t kEnough = 1 << 20;  // some systems say "unlimited" and then refuse it
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t wanted = std::min(limit.rlim_max, kEnough);
  if (limit.rlim_cur < wanted) {
    const rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<int64_t>(std::min(limit.rlim_cur, kEnough));
}

}  // namespace swiftlet
