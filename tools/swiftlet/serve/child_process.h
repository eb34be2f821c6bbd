// One supervised process: its output line by line with its name in front, its last lines, and how it ended.
// Owned by the supervisor, on the thread that made it: the kernel kills the process when that thread is gone, so
// nothing outlives `swiftlet serve`, however it ends.
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace swiftlet {

struct ChildSpec {
  std::string name;                      // "worker": in front of its lines
  std::string program;                   // path of the binary
  std::vector<std::string> arguments;    // without the program
  std::vector<std::string> environment;  // all of it, NAME=value
};

class ChildProcess {
 public:
  // `on_exit` is called once, on the child's own thread, after its last line. NOT_FOUND names a missing binary.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const ChildSpec& spec, std::function<void()> on_exit);
  ~ChildProcess();  // kills what still runs

  const std::string& name() const { return spec_.name; }
  // Does nothing after the end.
  void Signal(int number);
  // False when it still runs at `deadline`.
  bool WaitUntil(std::chrono::steady_clock::time_point deadline);

  // After the end.
  int exit_status() const;        // 128 + signal when killed by one
  std::string Ending() const;     // "ended with status 78", "was killed by signal 9 (Killed)"
  std::string LastLines() const;  // at most 12, each with a line feed

 private:
  ChildProcess(const ChildSpec& spec, pid_t pid, int output, std::function<void()> on_exit);
  void Watch();
  void TakeLine(const std::string& line);

  const ChildSpec spec_;
  const pid_t pid_;
  const int output_;  // read end of the child's stdout and stderr
  const std::function<void()> on_exit_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<int> wait_status_;  // guarded by mutex_, as is last_lines_
  std::deque<std::string> last_lines_;
  std::thread watcher_;
};

}  // namespace swiftlet
