#include "tools/swiftlet/bench/bench_flags.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status_macros.h"
#include "services/common/flags.h"
#include "services/common/tls_source.h"
#include "tools/swiftlet/client/api_key.h"
#include "tools/swiftlet/client/terminal_text.h"
#include "tools/swiftlet/client/tls_context.h"

namespace swiftlet::bench {
namespace {

// The values of flags that are not yet what Options holds.
struct Texts {
  std::optional<std::string> url;
  std::string endpoint = "chat";
  std::string prompts = "auto";
  std::string input_tokens = "128";
  std::string output_tokens = "128";
  std::string goodput;
  std::string sweep;
  std::optional<std::string> concurrency;
  std::optional<std::string> requests;
  std::vector<std::string> api_keys;
  int64_t seed = 1;
  bool quiet = false;
  bool profile = false;  // done before flags are read
  TlsFlags tls{"ssl"};
};

void AddFlags(Flags& flags, Options& options, Texts& texts) {
  flags.Add("url", &texts.url,
            "the server, http://HOST:PORT or https://HOST:PORT; http://127.0.0.1:8000, for gRPC :8001");
  flags.AddChoice("endpoint", &texts.endpoint, {"chat", "completions", "grpc"}, "what is called");
  flags.Add("model", &options.model, "model name; the first that the server lists if not given");
  flags.AddSecret("api-key", &texts.api_keys, "key sent as a bearer token");
  texts.tls.AddTo(flags, "certificate (and chain) to show the server, PEM",
                  "CA certificates that the server's must come from; the system's if not given");
  flags.Add("ssl-server-name", &options.server_name, "name on the server's certificate; the URL's host if not given");
  flags.Add("concurrency", &texts.concurrency,
            "closed loop: streams kept open, 32; with --rate the most open at once, unbounded");
  flags.Add("rate", &options.arrivals.rate, "open loop: requests begun a second; 0 = closed loop", {0, 1e6});
  flags.Add("burstiness", &options.arrivals.burstiness,
            "with --rate, shape of the gaps' gamma distribution: 1 = Poisson, below burstier, above more even",
            {0.001, 1e6});
  flags.Add("burst", &options.arrivals.burst, "with --rate, requests that begin together", {1, 65536});
  flags.Add("requests", &texts.requests, "requests in all, 1000; with --duration no limit");
  flags.Add("duration", &options.duration_s, "seconds in which requests begin; 0 = until all have", {0, 1e6});
  flags.Add("warmup", &options.warmup_requests, "requests before, not counted", {0, 1'000'000});
  flags.AddChoice("prompts", &texts.prompts, {"auto", "text", "ids"},
                  "what they are made of; auto = text for chat, else ids");
  flags.Add("input-tokens", &texts.input_tokens,
            "prompt length (words of text, ids): N, LOW:HIGH or lognormal:mean=M,sigma=S,min=LOW,max=HIGH");
  flags.Add("output-tokens", &texts.output_tokens, "max_tokens, likewise");
  flags.Add("dataset", &options.dataset_path, "prompts or lengths from a file, JSON lines or ShareGPT");
  flags.Add("vocabulary-size", &options.vocabulary_size, "ids of prompts are below it", {1, 1 << 24});
  flags.Add("stop-at-eos", &options.stop_at_eos, "let answers end by themselves");
  flags.Add("temperature", &options.temperature, "below 0: the server's default", {-1, 2});
  flags.Add("top-p", &options.top_p, "below 0: the server's default", {-1, 1});
  flags.Add("seed", &texts.seed, "of arrivals, prompts and lengths", {0, std::numeric_limits<int64_t>::max()});
  flags.Add("timeout", &options.timeout_s, "seconds one request may take", {0.001, 1e6});
  flags.Add("goodput", &texts.goodput, "limits that a good answer keeps: ttft:200ms,tpot:20ms,gap:100ms,e2e:5s");
  flags.Add("sweep", &texts.sweep, "several runs: rate:1,2,4 or concurrency:1,8,64");
  flags.Add("plot", &options.plot_path, "with --sweep, latency against load as SVG in this file");
  flags.Add("json", &options.json_path, "also write all figures to this file");
  flags.Add("threads", &options.threads, "of the load generator; 0 = by the number of streams", {0, 256});
  flags.Add("quiet", &texts.quiet, "no live line");
  flags.Add("profile", &texts.profile, "no server: the kernels of a decode step (--model DIR; engine_bench --help)");
}

// An absent flag leaves `target` as it is.
absl::Status ReadNumber(const char* flag, const std::optional<std::string>& text, int64_t highest, int64_t* target) {
  if (!text.has_value()) return absl::OkStatus();
  int64_t value = 0;
  if (!ParseNumber(*text, &value) || value < 1 || value > highest) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": \"", *text, "\" given; 1 to ", highest, " is needed"));
  }
  *target = value;
  return absl::OkStatus();
}

template <typename T>
absl::Status Named(const char* flag, const absl::StatusOr<T>& read, T* target) {
  if (!read.ok()) return absl::InvalidArgumentError(absl::StrCat(flag, ": ", read.status().message()));
  *target = *read;
  return absl::OkStatus();
}

absl::Status Need(bool met, const char* line) {
  return met ? absl::OkStatus() : absl::InvalidArgumentError(line);
}

absl::Status ReadLoad(const Texts& texts, Options& options) {
  if (!texts.sweep.empty()) RETURN_IF_ERROR(Named("--sweep", ParseSweep(texts.sweep), &options.sweep));
  const bool sweeps = !options.sweep.values.empty();
  const bool sweeps_rate = sweeps && options.sweep.over_rate;
  RETURN_IF_ERROR(Need(!sweeps_rate || options.arrivals.rate == 0, "--rate: --sweep has the rates already"));
  RETURN_IF_ERROR(Need(!sweeps || sweeps_rate || (!texts.concurrency.has_value() && options.arrivals.rate == 0),
                       "--sweep concurrency: neither --concurrency nor --rate may be given beside it"));
  if (sweeps_rate) options.arrivals.rate = options.sweep.values.front();
  RETURN_IF_ERROR(Need(options.open_loop() || (options.arrivals.burstiness == 1 && options.arrivals.burst == 1),
                       "--burstiness and --burst need --rate"));
  int64_t concurrency = options.open_loop() ? 0 : 32;
  RETURN_IF_ERROR(ReadNumber("--concurrency", texts.concurrency, 65536, &concurrency));
  options.concurrency = static_cast<int32_t>(concurrency);
  options.requests = options.duration_s > 0 ? 0 : 1000;
  RETURN_IF_ERROR(ReadNumber("--requests", texts.requests, 1'000'000'000, &options.requests));
  RETURN_IF_ERROR(Need(options.plot_path.empty() || options.sweep.values.size() >= 2,
                       "--plot: needs --sweep with two values or more"));
  return absl::OkStatus();
}

// Which address, which prompts.
absl::Status ReadRoute(const Texts& texts, Options& options) {
  options.endpoint = texts.endpoint == "chat"   ? Endpoint::kChat
                     : texts.endpoint == "grpc" ? Endpoint::kGrpc
                                                : Endpoint::kCompletions;
  const std::string url =
      texts.url.value_or(options.endpoint == Endpoint::kGrpc ? "http://127.0.0.1:8001" : "http://127.0.0.1:8000");
  RETURN_IF_ERROR(Named("--url", ParseServerUrl(url), &options.target));
  RETURN_IF_ERROR(Need(options.target.tls || (texts.tls.files().empty() && options.server_name.empty()),
                       "--ssl-...: --url must begin with https://"));
  RETURN_IF_ERROR(CheckCallerTls(texts.tls.paths));
  options.tls = texts.tls.paths;
  if (options.server_name.empty()) options.server_name = options.target.host;
  RETURN_IF_ERROR(Need(texts.api_keys.size() <= 1, "--api-key: several given; one is needed"));
  if (!texts.api_keys.empty()) options.api_key = texts.api_keys.front();
  RETURN_IF_ERROR(CheckApiKey("--api-key", options.api_key));
  options.token_ids = texts.prompts == "ids" || (texts.prompts == "auto" && options.endpoint != Endpoint::kChat);
  return Need(!(options.token_ids && options.endpoint == Endpoint::kChat),
              "--prompts: a chat has no prompt of ids; --endpoint completions or grpc has");
}

// As typed, without what --api-key says; UTF-8 whatever was typed, as it goes into JSON.
std::string CommandText(int argc, const char* const* argv) {
  std::vector<std::string> words = {"swiftlet"};
  for (int i = 0; i < argc; ++i) {
    const std::string word = argv[i];
    const bool hides = i > 0 && std::string_view(argv[i - 1]) == "--api-key";
    words.push_back(hides ? "***" : absl::StartsWith(word, "--api-key=") ? "--api-key=***" : word);
  }
  return TerminalText(absl::StrJoin(words, " "));
}

}  // namespace

absl::StatusOr<std::optional<Options>> ReadOptions(int argc, const char* const* argv) {
  Options options;
  Texts texts;
  Flags flags("swiftlet bench", "Loads a running server and says how it did. docs/bench.md explains every figure.");
  AddFlags(flags, options, texts);
  ASSIGN_OR_RETURN(const Flags::Next next, flags.Parse(argc, argv));
  if (next == Flags::Next::kExit) return std::nullopt;
  RETURN_IF_ERROR(ReadLoad(texts, options));
  RETURN_IF_ERROR(ReadRoute(texts, options));
  RETURN_IF_ERROR(Named("--input-tokens", ParseLengths(texts.input_tokens), &options.input_tokens));
  RETURN_IF_ERROR(Named("--output-tokens", ParseLengths(texts.output_tokens), &options.output_tokens));
  options.has_goodput = !texts.goodput.empty();
  if (options.has_goodput) RETURN_IF_ERROR(Named("--goodput", ParseGoodput(texts.goodput), &options.goodput));
  options.seed = static_cast<uint64_t>(texts.seed);
  options.live = !texts.quiet;
  options.command = CommandText(argc, argv);
  return options;
}

}  // namespace swiftlet::bench
