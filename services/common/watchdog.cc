#include "services/common/watchdog.h"

#include <absl/strings/str_cat.h>

#include <utility>

namespace swiftlet {

void Watchdog::Watch(std::string what, std::chrono::seconds limit, std::function<Reading()> read) {
  std::lock_guard<std::mutex> lock(mutex_);
  watched_.push_back({.what = std::move(what), .limit = limit, .read = std::move(read), .since = {}});
}

std::string Watchdog::Problem(Clock::time_point now) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::string problem;
  for (Watched& watched : watched_) {
    const Reading reading = watched.read();
    if (!std::exchange(watched.seen, true) || !reading.has_work || reading.progress != watched.progress) {
      watched.progress = reading.progress;
      watched.since = now;
    } else if (problem.empty() && now - watched.since >= watched.limit) {
      const auto stuck = std::chrono::duration_cast<std::chrono::seconds>(now - watched.since);
      problem = absl::StrCat(watched.what, " has not moved for ", stuck.count(), " s");
    }
  }
  return problem;
}

}  // namespace swiftlet
