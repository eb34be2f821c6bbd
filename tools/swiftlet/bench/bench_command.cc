#include "tools/swiftlet/bench/bench_command.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/file_limit.h"
#include "services/common/stop_signal.h"
#include "tools/swiftlet/bench/bench_flags.h"
#include "tools/swiftlet/bench/load_generator.h"
#include "tools/swiftlet/bench/machine.h"
#include "tools/swiftlet/bench/plot.h"
#include "tools/swiftlet/bench/report_json.h"
#include "tools/swiftlet/bench/report_table.h"
#include "tools/swiftlet/bench/served_model.h"
#include "tools/swiftlet/client/terminal_text.h"

namespace swiftlet::bench {
namespace {

constexpr int kFailedRequests = 1;
constexpr std::chrono::milliseconds kWatchInterval{50};
constexpr int32_t kWarmupStreams = 8;                    // of an open loop
constexpr int64_t kWarmupFirstIndex = int64_t{1} << 50;  // prompts of their own
constexpr int64_t kPointIndexStep = int64_t{1} << 32;    // each point of a sweep likewise

// The line a second on a terminal, and Ctrl-C.
class Watch {
 public:
  Watch(StopSignal& stop, bool live) : stop_(stop), live_(live && isatty(STDERR_FILENO) == 1) {}

  // Waits some time; false when the run is to end.
  bool operator()(const LiveFigures& live) {
    if (live_ && live.elapsed_s - last_.elapsed_s >= 1) {
      const std::string line = absl::StrFormat(
          "%6.1f s  %d begun, %d ended, %d of them not answered; %.0f events/s", live.elapsed_s, live.begun, live.ended,
          live.not_completed, static_cast<double>(live.tokens - last_.tokens) / (live.elapsed_s - last_.elapsed_s));
      // A line that is wider than the terminal could not be overwritten.
      std::fprintf(stderr, "\r%.*s\x1b[K", Columns() - 1, line.c_str());
      last_ = live;
    }
    return absl::IsDeadlineExceeded(stop_.WaitFor(kWatchInterval));
  }
  void EndRun() {
    if (live_) std::fputs("\r\x1b[K", stderr);
    last_ = {};
  }

 private:
  static int Columns() {
    winsize size = {};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  }

  StopSignal& stop_;
  const bool live_;
  LiveFigures last_;
};

absl::Status WriteFile(const char* flag, const std::string& path, const std::string& text,
                       std::ios::openmode mode = std::ios::trunc) {
  std::ofstream file(path, mode);
  file << text;
  if (file.flush()) return absl::OkStatus();
  return absl::UnknownError(
      absl::StrCat(flag, ": ", path, " cannot be written: ", std::generic_category().message(errno)));
}

// The server's words are in it, its model's name for one.
void Show(const std::string& table) {
  std::fputs(TerminalText(table).c_str(), stdout);
  std::fflush(stdout);
}

// A run, or those of a sweep: as far as they came.
absl::Status RunAll(const Options& options, const Dataset& dataset, StopSignal& stop, std::vector<RunResult>* results) {
  Watch watch(stop, options.live);
  const auto run = [&](const Options& point, int64_t first_index) {
    absl::StatusOr<RunResult> result = RunLoad(point, dataset, first_index, std::ref(watch));
    watch.EndRun();
    return result;
  };
  if (options.warmup_requests > 0) {
    Options warmup = options;
    warmup.arrivals.rate = 0;
    if (warmup.concurrency == 0) warmup.concurrency = kWarmupStreams;
    warmup.requests = options.warmup_requests;
    warmup.duration_s = 0;
    ASSIGN_OR_RETURN(const RunResult warm, run(warmup, kWarmupFirstIndex));
    if (warm.interrupted) return absl::OkStatus();
  }
  if (options.sweep.values.empty()) {
    ASSIGN_OR_RETURN(RunResult result, run(options, 0));
    Show(RunTable(options, result));
    results->push_back(std::move(result));
    return absl::OkStatus();
  }
  Show(SweepTableHead(options));
  Options point = options;
  int64_t first_index = 0;
  for (const double value : options.sweep.values) {
    if (options.sweep.over_rate) {
      point.arrivals.rate = value;
    } else {
      point.concurrency = static_cast<int32_t>(value);
    }
    ASSIGN_OR_RETURN(RunResult result, run(point, first_index));
    Show(SweepTableLine(options, result));
    results->push_back(std::move(result));
    if (results->back().interrupted) break;
    first_index += kPointIndexStep;
  }
  return absl::OkStatus();
}

absl::Status WriteReports(const Options& options, const std::vector<RunResult>& results, const Machine& machine,
                          const std::string& server) {
  if (!options.json_path.empty()) {
    RETURN_IF_ERROR(WriteFile("--json", options.json_path, JsonReport(options, results, machine, server) + "\n"));
  }
  if (options.plot_path.empty() || results.size() < 2) return absl::OkStatus();
  const std::string origin =
      absl::StrFormat("%s in / %s out, %s; client: %d cores of %s; %s", options.input_tokens.ToString(),
                      options.output_tokens.ToString(), std::string(RouteName(options.endpoint)), machine.cores,
                      machine.cpu, machine.time_utc.substr(0, 10));
  return WriteFile("--plot", options.plot_path, PlotSweep(options, results, origin));
}

// --profile looks into an engine, which this program has none of: engine_bench beside it takes all arguments.
int Profile(char** argv) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = (self.parent_path() / "engine_bench").string();
  execv(program.c_str(), argv);
  std::fprintf(stderr, "swiftlet bench: --profile is done by %s, which cannot be run: %s\n", program.c_str(),
               std::generic_category().message(errno).c_str());
  return EX_UNAVAILABLE;
}

int ExitCode(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? EX_USAGE : EX_UNAVAILABLE;
}

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "swiftlet bench: %s\n", TerminalLine(ToStd(status.message())).c_str());
  return code;
}

}  // namespace

int BenchCommand(int argc, char** argv) {
  if (std::find(argv, argv + argc, std::string_view("--profile")) != argv + argc) return Profile(argv);
  absl::StatusOr<std::optional<Options>> read = ReadOptions(argc, argv);
  if (!read.ok()) return Fail(EX_USAGE, read.status());
  if (!read->has_value()) return 0;
  Options options = **std::move(read);
  Dataset dataset;
  if (!options.dataset_path.empty()) {
    absl::StatusOr<Dataset> entries = ReadDataset(
        options.dataset_path, {.chat = options.endpoint == Endpoint::kChat, .token_ids = options.token_ids});
    if (!entries.ok()) return Fail(EX_USAGE, entries.status());
    dataset = *std::move(entries);
  }
  // Both files are made now: a path that cannot be written is no news for the end of an hour. What stands in them is
  // the last run's until there is something to replace it.
  for (const auto& [flag, path] : {std::pair("--json", options.json_path), std::pair("--plot", options.plot_path)}) {
    if (path.empty()) continue;
    if (const absl::Status written = WriteFile(flag, path, "", std::ios::app); !written.ok())
      return Fail(EX_USAGE, written);
  }
  StopSignal stop;
  RaiseFileLimit();
  absl::StatusOr<std::string> model = FindModel(options);
  if (!model.ok()) return Fail(ExitCode(model.status()), model.status());
  options.model = *std::move(model);
  const std::string server = ServerVersion(options);
  const Machine machine = ThisMachine();
  std::vector<RunResult> results;
  const absl::Status status = RunAll(options, dataset, stop, &results);
  const absl::Status written = WriteReports(options, results, machine, server);
  if (!status.ok()) return Fail(ExitCode(status), status);
  if (!written.ok()) return Fail(EX_CANTCREAT, written);
  for (const RunResult& result : results) {
    if (result.measured.failed() > 0 || result.measured.completed == 0) return kFailedRequests;
  }
  return 0;
}

}  // namespace swiftlet::bench
