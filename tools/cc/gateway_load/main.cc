// gateway_load: a model worker that computes nothing and the callers of the gateway in front of it, in one process, so
// that what the gateway adds is told exactly. One run, one line of JSON; tools/gateway_bench starts the gateway and
// makes a table of several. Without any gateway: --floor, a bare send(); --direct, a client of the worker itself.
#include <absl/strings/str_cat.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "services/common/file_limit.h"
#include "services/common/grpc_server.h"
#include "tools/cc/gateway_load/direct_load.h"
#include "tools/cc/gateway_load/mock_worker.h"
#include "tools/cc/gateway_load/send_floor.h"
#include "tools/cc/gateway_load/stream_load.h"

namespace swiftlet {
namespace {

// What /proc says of a process.
struct ProcessUse {
  double cpu_s = 0;
  int64_t resident_bytes = 0;
};

ProcessUse UseOf(int64_t pid) {
  ProcessUse use;
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  std::getline(stat, text);
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return use;
  std::vector<std::string> fields;
  for (size_t at = end + 2; at < text.size();) {
    const size_t space = std::min(text.find(' ', at), text.size());
    fields.push_back(text.substr(at, space - at));
    at = space + 1;
  }
  const auto number = [&](size_t index) { return std::strtoll(fields.at(index).c_str(), nullptr, 10); };
  use.cpu_s = static_cast<double>(number(11) + number(12)) / static_cast<double>(sysconf(_SC_CLK_TCK));
  use.resident_bytes = number(21) * sysconf(_SC_PAGESIZE);
  return use;
}

// "name":{"count":..,"p50":..,"p90":..,"p99":..,"max":..}
std::string Spread(const char* name, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    if (values.empty()) return 0.0;
    return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
  };
  return absl::StrCat("\"", name, "\":{\"count\":", values.size(), ",\"p50\":", at(0.5), ",\"p90\":", at(0.9),
                      ",\"p99\":", at(0.99), ",\"max\":", values.empty() ? 0.0 : values.back(), "}");
}

std::string JsonText(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

// Of the callers' gateway, where it answers at all.
bool WaitReady(uint16_t port) {
  for (int i = 0; i < 200; ++i) {
    Caller caller;
    if (caller.Connect(port)) {
      caller.Begin("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
      for (int j = 0; j < 20 && !caller.done(); ++j) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        if (!caller.Send() || !caller.Receive()) break;
      }
      if (caller.done() && caller.status() == 200) return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

int Main(int argc, char** argv) {
  CLI::App app("A mock worker and the callers of the gateway in front of it.", "gateway_load");
  app.option_defaults()->always_capture_default();
  StreamLoadOptions options;
  MockWorkerOptions worker_options;
  worker_options.steps = {.step_ns = 0, .first_id = 0, .num_ids = 1};
  SendFloorOptions floor;
  int64_t gateway_pid = 0;
  bool measure_floor = false;
  bool direct = false;
  bool completions = false;
  double step_us = 50'000;
  app.add_flag("--floor", measure_floor, "Only what a bare send costs: --streams, --bytes, --step-us, --seconds");
  app.add_flag("--direct", direct, "Only a client of the worker: --tokens, --rate, --seconds, --step-us, --phases");
  app.add_option("--bytes", floor.bytes, "Of one send")->check(CLI::PositiveNumber);
  app.add_option("--gateway-port", options.port, "Its HTTP port");
  app.add_option("--gateway-pid", gateway_pid, "Whose CPU time and memory are told");
  app.add_option("--worker-port", worker_options.port, "Where the gateway looks for its worker");
  app.add_option("--model", worker_options.model_directory, "Whose config.json and tokenizer files are read");
  app.add_option("--first-id", worker_options.steps.first_id, "The worker's ids are this one and")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--num-ids", worker_options.steps.num_ids, "so many in all")->check(CLI::PositiveNumber);
  app.add_option("--max-num-seqs", worker_options.max_num_seqs, "Streams in a step")->check(CLI::PositiveNumber);
  app.add_option("--step-us", step_us, "Between two tokens of a stream")->check(CLI::NonNegativeNumber);
  app.add_option("--phases", worker_options.steps.phases, "In how many parts a step's tokens come")
      ->check(CLI::PositiveNumber);
  app.add_flag("--completions", completions, "Token ids over /v1/completions, so without tokenizer; else chat");
  app.add_option("--streams", options.streams, "Connections")->check(CLI::NonNegativeNumber);
  app.add_option("--tokens", options.tokens, "Of an answer")->check(CLI::PositiveNumber);
  app.add_option("--answers", options.answers, "Of a stream")->check(CLI::PositiveNumber);
  app.add_option("--slow-readers", options.slow_readers, "Beside them, a byte a second")->check(CLI::NonNegativeNumber);
  app.add_option("--slow-tokens", options.slow_tokens, "Of what those ask for")->check(CLI::PositiveNumber);
  app.add_option("--rate", options.rate, "Requests a second, instead of --answers")->check(CLI::NonNegativeNumber);
  app.add_option("--seconds", options.seconds, "How long, where nothing else tells")->check(CLI::NonNegativeNumber);
  app.add_flag("--hold", options.hold, "Only open the streams");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : EX_USAGE;
  }
  signal(SIGPIPE, SIG_IGN);
  PrepareGrpc();
  RaiseFileLimit();
  const auto fail = [](const absl::Status& status) {
    std::fprintf(stderr, "gateway_load: %s\n", std::string(status.message()).c_str());
    return EX_UNAVAILABLE;
  };
  if (measure_floor) {
    floor.streams = options.streams;
    floor.step_us = step_us;
    floor.seconds = options.seconds;
    const auto result = MeasureSendFloor(floor);
    if (!result.ok()) return fail(result.status());
    std::printf("{\"sends\":%lld,\"us_per_send\":%.3f}\n", static_cast<long long>(result->sends), result->us_per_send);
    return 0;
  }
  options.chat = !completions;
  worker_options.steps.step_ns = static_cast<int64_t>(step_us * 1e3);
  const int32_t numbered =
      direct ? static_cast<int32_t>(options.rate * options.seconds) : options.streams + options.slow_readers;
  TokenTimes times(numbered, options.slow_readers > 0 ? std::max(options.tokens, options.slow_tokens) : options.tokens);
  const auto worker = MockWorker::Start(worker_options, times);
  if (!worker.ok()) return fail(worker.status());
  if (direct) {
    const DirectLoadResult result = RunDirectLoad({.worker_address = absl::StrCat("127.0.0.1:", (*worker)->port()),
                                                   .tokens = options.tokens,
                                                   .rate = options.rate,
                                                   .seconds = options.seconds},
                                                  times);
    std::printf("%s\n",
                absl::StrCat("{\"answers\":", result.answers, ",", Spread("first_added_us", result.first_added_us), ",",
                             Spread("token_added_us", result.token_added_us), "}")
                    .c_str());
    return result.answers > 0 ? 0 : 1;
  }
  if (!WaitReady(options.port)) return fail(absl::UnavailableError("the gateway did not become ready"));

  const ProcessUse before = UseOf(gateway_pid);
  ProcessUse held = before;
  int64_t largest_bytes = before.resident_bytes;
  StreamLoad load(options, times, [&] {
    held = UseOf(gateway_pid);
    largest_bytes = std::max(largest_bytes, held.resident_bytes);
  });
  const StreamLoadResult result = load.Run();
  const ProcessUse after = UseOf(gateway_pid);
  largest_bytes = std::max(largest_bytes, after.resident_bytes);

  std::string errors;
  for (const auto& [what, count] : result.errors) {
    absl::StrAppend(&errors, errors.empty() ? "" : ",", JsonText(what), ":", count);
  }
  std::string json = absl::StrCat(
      "{\"answers\":", result.answers, ",\"tokens\":", result.tokens, ",\"events\":", result.events,
      ",\"bytes\":", result.bytes, ",\"wall_s\":", result.wall_s, ",\"gateway_cpu_s\":", after.cpu_s - before.cpu_s,
      ",\"resident_before\":", before.resident_bytes, ",\"resident_held\":", held.resident_bytes,
      ",\"resident_largest\":", largest_bytes, ",\"resident_after\":", after.resident_bytes,
      ",\"refused_without_time\":", result.refused_without_time, ",\"not_begun\":", result.not_begun,
      ",\"slow_done\":", result.slow_done, ",\"errors\":{", errors, "},");
  absl::StrAppend(&json, Spread("first_added_us", result.first_added_us), ",",
                  Spread("token_added_us", result.token_added_us), ",", Spread("first_ms", result.first_ms), ",",
                  Spread("answer_ms", result.answer_ms), ",", Spread("refused_ms", result.refused_ms), ",",
                  Spread("slow_cut_s", result.slow_cut_s), "}");
  std::printf("%s\n", json.c_str());
  return result.errors.empty() ? 0 : 1;
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  return swiftlet::Main(argc, argv);
}
