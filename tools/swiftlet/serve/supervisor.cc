#include "tools/swiftlet/serve/supervisor.h"

#include <absl/strings/str_cat.h>
#include <sysexits.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status_macros.h"
#include "tools/swiftlet/serve/child_process.h"
#include "tools/swiftlet/serve/ports.h"

namespace swiftlet {
namespace {

using Clock = std::chrono::steady_clock;
using Children = std::vector<std::unique_ptr<ChildProcess>>;

constexpr int kCannotExecute = 127;  // the system's loader found a library missing
constexpr std::chrono::milliseconds kPoll{10};
// Beyond --drain-seconds, for a child to leave once it has drained.
constexpr std::chrono::seconds kLeave{3};

void Say(const std::string& line) {
  std::fputs(absl::StrCat("swiftlet serve: ", line, "\n").c_str(), stderr);
}

// True when the first `count` children said so; false when a signal or the end of a child came first.
bool AwaitReady(const ServePlan& plan, size_t count, StopSignal& stop) {
  size_t ready = 0;
  while (ready < count) {
    if (IsReady(plan.children[ready].admin_host, plan.children[ready].admin_port)) {
      ++ready;
    } else if (!absl::IsDeadlineExceeded(stop.WaitFor(kPoll))) {
      return false;
    }
  }
  return absl::IsDeadlineExceeded(stop.WaitFor(std::chrono::milliseconds(0)));
}

// True when all run and are ready; false when something came first. An error when one cannot be started.
absl::StatusOr<bool> StartAll(const ServePlan& plan, StopSignal& stop, Children& children) {
  for (const PlannedChild& planned : plan.children) {
    if (planned.after_others && !AwaitReady(plan, children.size(), stop)) return false;
    ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> child, ChildProcess::Start(planned.spec, [&stop] {
                       stop.Fail(absl::AbortedError("a child has ended"));
                     }));
    children.push_back(std::move(child));
  }
  return AwaitReady(plan, children.size(), stop);
}

bool HasEnded(ChildProcess& child) {
  return child.WaitUntil(Clock::time_point::min());
}

// False when a child had to be killed, or ended by a fault.
bool StopAll(Children& children, double drain_seconds) {
  bool clean = true;
  const auto drain = std::chrono::milliseconds(static_cast<int64_t>(drain_seconds * 1000));
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    if (HasEnded(**child)) continue;
    (*child)->Signal(SIGTERM);
    if (!(*child)->WaitUntil(Clock::now() + drain + kLeave)) {
      Say(absl::StrCat((*child)->name(), " has not stopped in time and is killed"));
      (*child)->Signal(SIGKILL);
      (*child)->WaitUntil(Clock::now() + kLeave);
    }
    // SIGTERM by its own name: it was told to stop before it had begun to serve.
    if (const int status = (*child)->exit_status(); status == 0 || status == 128 + SIGTERM) continue;
    clean = false;
    Say(absl::StrCat((*child)->name(), " ", (*child)->Ending(), " while stopping"));
  }
  return clean;
}

}  // namespace

int Supervise(const ServePlan& plan, StopSignal& stop) {
  Children children;
  const absl::StatusOr<bool> ready = StartAll(plan, stop, children);
  if (!ready.ok()) {
    Say(std::string(ready.status().message()));
    return EX_SOFTWARE;  // those that run are killed with `children`
  }
  if (*ready) {
    std::fputs(plan.banner.c_str(), stdout);
    if (std::fflush(stdout) != 0) std::clearerr(stdout);  // that nobody reads the banner is no fault
  }
  if (stop.Wait().ok()) {
    Say("stopping");
    return StopAll(children, plan.drain_seconds) ? 0 : EX_SOFTWARE;
  }
  int status = 0;
  for (const auto& child : children) {
    if (!HasEnded(*child)) continue;
    Say(absl::StrCat("the ", child->name(), " ", child->Ending(), "; stopping the others. Its last lines:"));
    std::fputs(child->LastLines().c_str(), stderr);
    if (child->exit_status() == kCannotExecute) {
      Say("a library that it needs is missing: tools/setup installs all of them");
    }
    if (status == 0) status = child->exit_status();
  }
  StopAll(children, 0);  // without all three there is nothing to drain
  return status == 0 || status > 128 ? EX_SOFTWARE : status;
}

}  // namespace swiftlet
