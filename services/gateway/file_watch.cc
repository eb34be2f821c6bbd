#include "services/gateway/file_watch.h"

#include <sys/stat.h>

#include <tuple>
#include <utility>

#include <boost/asio/post.hpp>

namespace swiftlet {
namespace {

// Enough to tell one content of a file from the next: device, inode, size, time of change in nanoseconds. All zero:
// none.
using Mark = std::tuple<dev_t, ino_t, off_t, int64_t>;

std::vector<Mark> MarksOf(const std::vector<std::string>& paths) {
  std::vector<Mark> marks;
  for (const std::string& path : paths) {
    struct stat found = {};
    if (::stat(path.c_str(), &found) != 0) found = {};
    marks.emplace_back(found.st_dev, found.st_ino, found.st_size,
                       int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec);
  }
  return marks;
}

}  // namespace

struct FileWatch::State {
  std::vector<std::string> paths;
  int64_t interval_us;
  Executor executor;
  Clock& clock;
  std::function<void()> on_change;
  std::vector<Mark> told;    // what on_change has seen
  std::vector<Mark> latest;  // at the last look
  std::unique_ptr<Timer> timer;
  bool stopped = false;
};

FileWatch::FileWatch(std::vector<std::string> paths, int64_t interval_us, Executor executor, Clock& clock,
                     std::function<void()> on_change)
    : state_(std::make_shared<State>(
          State{std::move(paths), interval_us, std::move(executor), clock, std::move(on_change), {}, {}, {}, false})) {
  state_->told = state_->latest = MarksOf(state_->paths);
}

FileWatch::~FileWatch() {
  boost::asio::post(state_->executor, [state = state_] {
    state->stopped = true;
    state->timer.reset();
  });
}

void FileWatch::Start() {
  boost::asio::post(state_->executor, [state = state_] { Look(state); });
}

void FileWatch::Look(const std::shared_ptr<State>& state) {
  if (state->stopped) return;
  std::vector<Mark> now = MarksOf(state->paths);
  if (now == state->latest && now != state->told) {
    state->told = now;
    state->on_change();
  }
  state->latest = std::move(now);
  state->timer = state->clock.After(state->executor, state->interval_us, [state] { Look(state); });
}

}  // namespace swiftlet
