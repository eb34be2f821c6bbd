#include "tools/swiftlet/bench/bench_command.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "tools/swiftlet/bench/load_generator.h"
#include "tools/swiftlet/bench/options.h"
#include "tools/swiftlet/bench/report.h"

namespace swiftlet::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kUsageError = 64;   // EX_USAGE
constexpr int kUnavailable = 69;  // EX_UNAVAILABLE

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

absl::StatusOr<std::string> FirstModel(const Options& options) {
  ASSIGN_OR_RETURN(const std::string body, HttpGet(options, "/v1/models"));
  ASSIGN_OR_RETURN(const boost::json::value value, ParseStrictJson(body));
  const auto* object = value.if_object();
  const auto* data = object != nullptr ? object->if_contains("data") : nullptr;
  if (data == nullptr || !data->is_array() || data->as_array().empty()) {
    return absl::UnavailableError("/v1/models lists no model");
  }
  const auto* model = data->as_array()[0].if_object();
  const auto* id = model != nullptr ? model->if_contains("id") : nullptr;
  if (id == nullptr || !id->is_string()) return absl::UnavailableError("/v1/models has an entry without an id");
  return std::string(id->as_string());
}

// Runs the loop in a thread and prints the live line in this one.
RunResult Run(const Options& options) {
  if (options.warmup_requests > 0) {
    Progress ignored;
    RunLoad(options, options.requests, options.warmup_requests, ignored);  // prompts of their own
  }
  Progress progress;
  RunResult result;
  const Clock::time_point start = Clock::now();
  const double cpu_before_s = CpuSeconds();
  std::atomic<bool> finished{false};
  std::thread loop([&] {
    result.measured = RunLoad(options, 0, options.requests, progress);
    result.wall_s = SecondsSince(start);
    finished.store(true);
    finished.notify_all();
  });
  int64_t last_chunks = 0;
  Clock::time_point last = start;
  while (!finished.load()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double interval_s = SecondsSince(last);
    if (!options.live || interval_s < 1) continue;
    const int64_t chunks = progress.text_chunks.load();
    std::fprintf(stderr, "\r%6.1f s  %ld/%ld requests  %ld failed  %.0f chunks/s   ", SecondsSince(start),
                 static_cast<long>(progress.completed.load()), static_cast<long>(options.requests),
                 static_cast<long>(progress.failed.load()), static_cast<double>(chunks - last_chunks) / interval_s);
    last_chunks = chunks;
    last = Clock::now();
  }
  loop.join();
  if (options.live) std::fprintf(stderr, "\r%*s\r", 78, "");
  result.client_cpu_share = (CpuSeconds() - cpu_before_s) / result.wall_s;
  result.measured.time_to_first_token.Finish();
  result.measured.inter_token.Finish();
  result.measured.end_to_end.Finish();
  return result;
}

// --profile looks into an engine, which this program has none of: engine_bench beside it takes all arguments.
int Profile(char** argv) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = (self.parent_path() / "engine_bench").string();
  execv(program.c_str(), argv);
  std::fprintf(stderr, "swiftlet bench: --profile is done by %s, which cannot be run: %s\n", program.c_str(),
               std::generic_category().message(errno).c_str());
  return kUnavailable;
}

}  // namespace

int BenchCommand(int argc, char** argv) {
  if (std::find(argv, argv + argc, std::string_view("--profile")) != argv + argc) return Profile(argv);
  Options options;
  std::string url = "http://127.0.0.1:8000";
  std::string input_tokens = "128";
  std::string output_tokens = "128";
  std::string endpoint = "chat";
  bool quiet = false;
  bool profile = false;  // seen before parsing
  CLI::App app("Loads a running server over its OpenAI route with a fixed number of streams.", "swiftlet bench");
  app.option_defaults()->always_capture_default();
  app.add_option("--url", url, "The server, http://HOST:PORT");
  app.add_option("--model", options.model, "Model name; the first of /v1/models if not said");
  app.add_option("--api-key", options.api_key, "Sent as a bearer token");
  app.add_option("--endpoint", endpoint, "chat (text) or completions (token ids)")
      ->check(CLI::IsMember({"chat", "completions"}));
  app.add_option("--concurrency", options.concurrency, "Streams open at any time")->check(CLI::Range(1, 65536));
  app.add_option("--requests", options.requests, "Requests in all")->check(CLI::PositiveNumber);
  app.add_option("--request-rate", options.request_rate,
                 "Requests begun a second, at random, while streams are free; 0 = each stream's next at once")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--warmup", options.warmup_requests, "Requests before, not counted")->check(CLI::NonNegativeNumber);
  app.add_option("--input-tokens", input_tokens, "Prompt length: N or LOW:HIGH; words for chat, ids for completions");
  app.add_option("--output-tokens", output_tokens, "max_tokens: N or LOW:HIGH");
  app.add_flag("--stop-at-eos", options.stop_at_eos, "Let answers end by themselves");
  app.add_option("--temperature", options.temperature, "Below 0: the server's default")->check(CLI::Range(-1.0, 2.0));
  app.add_option("--top-p", options.top_p, "Below 0: the server's default")->check(CLI::Range(-1.0, 1.0));
  app.add_option("--seed", options.seed, "Of prompts, lengths and draws");
  app.add_option("--threads", options.threads, "Threads of the load generator; 0 = by the number of streams")
      ->check(CLI::Range(0, 256));
  app.add_option("--vocabulary-size", options.vocabulary_size, "Ids of completion prompts are below it")
      ->check(CLI::PositiveNumber);
  app.add_option("--timeout", options.timeout_s, "Seconds one request may take")->check(CLI::PositiveNumber);
  app.add_option("--json", options.json_path, "Also write the figures to this file");
  app.add_flag("--quiet", quiet, "No live line");
  app.add_flag("--profile", profile, "No server: the kernels of an engine's decode step (--model DIR; engine_bench --help)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : kUsageError;
  }
  options.live = !quiet;
  options.chat = endpoint == "chat";
  const auto fail = [](int code, const absl::Status& status) {
    std::fprintf(stderr, "swiftlet bench: %s\n", std::string(status.message()).c_str());
    return code;
  };
  const auto target = ParseServerUrl(url);
  if (!target.ok()) return fail(kUsageError, target.status());
  if (target->tls) return fail(kUsageError, absl::InvalidArgumentError("--url: https is not spoken by the load generator"));
  options.target = *target;
  const auto input = ParseLengthRange(input_tokens);
  if (!input.ok()) return fail(kUsageError, input.status());
  const auto output = ParseLengthRange(output_tokens);
  if (!output.ok()) return fail(kUsageError, output.status());
  options.input_tokens = *input;
  options.output_tokens = *output;
  if (options.threads == 0) {
    options.threads = DefaultThreads(options.concurrency, static_cast<int32_t>(std::thread::hardware_concurrency()));
  }
  if (options.model.empty()) {
    const auto model = FirstModel(options);
    if (!model.ok()) return fail(kUnavailable, model.status());
    options.model = *model;
  }

  const RunResult result = Run(options);
  std::fputs(RenderTable(options, result).c_str(), stdout);
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << RenderJson(options, result) << "\n";
    if (!file.flush()) return fail(1, absl::UnknownError(absl::StrCat("cannot write ", options.json_path)));
  }
  return result.measured.error_count() == 0 ? 0 : 1;
}

}  // namespace swiftlet::bench
