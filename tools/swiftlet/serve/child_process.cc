#include "tools/swiftlet/serve/child_process.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

namespace swiftlet {
namespace {

constexpr size_t kLastLines = 12;
constexpr size_t kMaxLineBytes = 16 << 10;
constexpr size_t kNameWidth = 9;  // "tokenizer"

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// After fork and until exec: async-signal-safe calls alone. posix_spawn has no way to ask for the parent-death signal.
[[noreturn]] void BecomeChild(char* const* arguments, char* const* environment, int output, int error_pipe,
                              pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);  // Ctrl-C in a terminal is for the supervisor, which stops its children in order
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int input = open("/dev/null", O_RDONLY);
  const bool orphan = getppid() != parent;
  if (!orphan && input >= 0 && dup2(input, 0) >= 0 && dup2(output, 1) >= 0 && dup2(output, 2) >= 0) {
    execve(arguments[0], arguments, environment);
  }
  const int error = errno;
  if (write(error_pipe, &error, sizeof(error)) < 0) _exit(126);
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const ChildSpec& spec,
                                                                  std::function<void()> on_exit) {
  int output[2];
  int failure[2];
  if (pipe2(output, O_CLOEXEC) != 0) return absl::InternalError(absl::StrCat("pipe: ", std::strerror(errno)));
  if (pipe2(failure, O_CLOEXEC) != 0) {
    const int error = errno;
    close(output[0]);
    close(output[1]);
    return absl::InternalError(absl::StrCat("pipe: ", std::strerror(error)));
  }
  std::vector<std::string> command = spec.arguments;
  command.insert(command.begin(), spec.program);
  const std::vector<char*> arguments = Pointers(command);
  const std::vector<char*> environment = Pointers(spec.environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) BecomeChild(arguments.data(), environment.data(), output[1], failure[1], parent);
  const int fork_error = errno;
  close(output[1]);
  close(failure[1]);
  int exec_error = 0;
  const bool failed = pid < 0 || read(failure[0], &exec_error, sizeof(exec_error)) == sizeof(exec_error);
  close(failure[0]);
  if (!failed) return std::unique_ptr<ChildProcess>(new ChildProcess(spec, pid, output[0], std::move(on_exit)));
  close(output[0]);
  if (pid < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(fork_error)));
  waitpid(pid, nullptr, 0);
  return absl::NotFoundError(absl::StrCat("cannot start ", spec.program, ": ", std::strerror(exec_error),
                                          "; it must stand beside the swiftlet command"));
}

ChildProcess::ChildProcess(const ChildSpec& spec, pid_t pid, int output, std::function<void()> on_exit)
    : spec_(spec), pid_(pid), output_(output), on_exit_(std::move(on_exit)), watcher_([this] { Watch(); }) {}

ChildProcess::~ChildProcess() {
  Signal(SIGKILL);
  watcher_.join();
  close(output_);
}

void ChildProcess::Watch() {
  std::string line;
  char buffer[4096];
  while (true) {
    const ssize_t count = read(output_, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    for (const char c : std::string_view(buffer, static_cast<size_t>(count))) {
      if (c != '\n' && line.size() < kMaxLineBytes) {
        line += c;
        continue;
      }
      TakeLine(line);
      line.clear();
      if (c != '\n') line += c;
    }
  }
  if (!line.empty()) TakeLine(line);
  siginfo_t info;
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  {
    // Reaped under the mutex: Signal never meets another process of the same number.
    std::lock_guard<std::mutex> lock(mutex_);
    int status = 0;
    waitpid(pid_, &status, 0);
    wait_status_ = status;
  }
  ended_.notify_all();
  on_exit_();
}

void ChildProcess::TakeLine(const std::string& line) {
  const size_t padding = spec_.name.size() < kNameWidth ? kNameWidth - spec_.name.size() : 0;
  const std::string shown = absl::StrCat(spec_.name, std::string(padding, ' '), " | ", line, "\n");
  // One write a line, so that lines of different children do not mix. A closed stderr is nothing to die of.
  if (write(STDERR_FILENO, shown.data(), shown.size()) < 0) errno = 0;
  std::lock_guard<std::mutex> lock(mutex_);
  last_lines_.push_back(line);
  if (last_lines_.size() > kLastLines) last_lines_.pop_front();
}

void ChildProcess::Signal(int number) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!wait_status_.has_value()) kill(pid_, number);
}

bool ChildProcess::WaitUntil(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  return ended_.wait_until(lock, deadline, [this] { return wait_status_.has_value(); });
}

int ChildProcess::exit_status() const {
  std::lock_guard<std::mutex> lock(mutex_);
  const int status = wait_status_.value_or(0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string ChildProcess::Ending() const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!wait_status_.has_value()) return "runs";
  if (WIFSIGNALED(*wait_status_)) {
    const int number = WTERMSIG(*wait_status_);
    return absl::StrCat("was killed by signal ", number, " (", strsignal(number), ")");
  }
  return absl::StrCat("ended with status ", WEXITSTATUS(*wait_status_));
}

std::string ChildProcess::LastLines() const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::string text;
  for (const std::string& line : last_lines_) absl::StrAppend(&text, line, "\n");
  return text;
}

}  // namespace swiftlet
