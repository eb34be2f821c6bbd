#include "tools/swiftlet/serve/supervisor.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tools/swiftlet/serve/child_process.h"
#include "tools/swiftlet/serve/ports.h"

namespace swiftlet {
namespace {

using Clock = std::chrono::steady_clock;
using Children = std::vector<std::unique_ptr<ChildProcess>>;

constexpr int kSoftware = 70;  // EX_SOFTWARE
constexpr std::chrono::milliseconds kPoll{10};
// Beyond --drain-seconds, for a child to leave once it has drained.
constexpr std::chrono::seconds kLeave{3};

void Say(const std::string& line) {
  std::fputs(absl::StrCat("swiftlet serve: ", line, "\n").c_str(), stderr);
}

// True when every child said so; false when a signal or the end of a child came first.
bool AwaitReady(const ServePlan& plan, StopSignal& stop) {
  size_t ready = 0;
  while (ready < plan.children.size()) {
    if (IsReady(plan.children[ready].admin_host, plan.children[ready].admin_port)) {
      ++ready;
    } else if (!absl::IsDeadlineExceeded(stop.WaitFor(kPoll))) {
      return false;
    }
  }
  return absl::IsDeadlineExceeded(stop.WaitFor(std::chrono::milliseconds(0)));
}

bool HasEnded(ChildProcess& child) {
  return child.WaitUntil(Clock::time_point::min());
}

// False when a child had to be killed, or ended with a status other than 0.
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
    if ((*child)->exit_status() == 0) continue;
    clean = false;
    Say(absl::StrCat((*child)->name(), " ", (*child)->Ending(), " while stopping"));
  }
  return clean;
}

}  // namespace

int Supervise(const ServePlan& plan, StopSignal& stop) {
  Children children;
  for (const PlannedChild& planned : plan.children) {
    absl::StatusOr<std::unique_ptr<ChildProcess>> child =
        ChildProcess::Start(planned.spec, [&stop] { stop.Fail(absl::AbortedError("a child has ended")); });
    if (!child.ok()) {
      Say(std::string(child.status().message()));
      return kSoftware;  // those that run are killed with `children`
    }
    children.push_back(*std::move(child));
  }
  if (AwaitReady(plan, stop)) {
    std::fputs(plan.banner.c_str(), stdout);
    std::fflush(stdout);
  }
  if (stop.Wait().ok()) {
    Say("stopping");
    return StopAll(children, plan.drain_seconds) ? 0 : kSoftware;
  }
  int status = 0;
  for (const auto& child : children) {
    if (!HasEnded(*child)) continue;
    Say(absl::StrCat("the ", child->name(), " ", child->Ending(), "; stopping the others. Its last lines:"));
    std::fputs(child->LastLines().c_str(), stderr);
    if (status == 0) status = child->exit_status();
  }
  StopAll(children, 0);  // without all three there is nothing to drain
  return status == 0 || status > 128 ? kSoftware : status;
}

}  // namespace swiftlet
