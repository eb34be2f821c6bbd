#include "tools/swiftlet/serve/serve_plan.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <filesystem>

#include "services/common/vllm_names.h"

namespace swiftlet {
namespace {

constexpr char kInternalHost[] = "127.0.0.1";

std::string Address(const std::string& host, int32_t port) {
  return host.find(':') == std::string::npos ? absl::StrCat(host, ":", port) : absl::StrCat("[", host, "]:", port);
}

// Where this machine reaches what listens on `host`.
std::string Reachable(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  if (host == "::") return "::1";
  return host;
}

}  // namespace

const std::vector<HandedOn>& HandedOnFlags() {
  static const std::vector<HandedOn> flags = {
      {"max-model-len", "max-model-len", "worker", false, "longest prompt + output, tokens"},
      {"max-num-seqs", "max-num-seqs", "worker", false, "most sequences in one step"},
      {"max-num-batched-tokens", "max-num-batched-tokens", "worker", false, "most tokens in one step"},
      {"max-mixed-tokens", "max-mixed-tokens", "worker", false, "most tokens in a step that decodes"},
      {"max-waiting-requests", "max-waiting-requests", "worker", false, "most requests that wait for their first step"},
      {"max-waiting-tokens", "max-waiting-tokens", "worker", false, "most prompt tokens that wait"},
      {"grammar-cache-bytes", "grammar-cache-bytes", "worker", false,
       "compiled grammars that are kept, such as 128MiB"},
      {"max-waiting-grammars", "max-waiting-grammars", "worker", false,
       "most requests that wait for their grammar to be compiled"},
      {"kv-cache-memory-bytes", "kv-cache-memory-bytes", "worker", false, "size of the KV pool, such as 2GiB"},
      {"kv-cache-dtype", "kv-cache-dtype", "worker", false, "type of keys and values"},
      {"block-size", "block-size", "worker", false, "tokens in a KV block; always 64"},
      {"dtype", "dtype", "worker", false, "type the weights are computed in"},
      {"enforce-eager", "enforce-eager", "worker", true, "on a GPU: no captured graphs"},
      {"scheduling-policy", "scheduling-policy", "worker", false, "who runs first: fcfs, priority"},
      {"enable-prefix-caching", "enable-prefix-caching", "worker", true, "shared prompt prefixes are computed once"},
      {"threads", "threads", "worker", false, "threads that compute; 0 = one for each core"},
      {"device", "device", "worker", false, "what computes: auto, cpu, cuda"},
      {"gpu-memory-utilization", "gpu-memory-utilization", "worker", false, "share of a GPU's memory that may be used"},
      {"kernels", "kernels", "worker", false, "a GPU's kernels: auto, generic"},
      {"deterministic", "deterministic", "worker", true, "on a GPU: results that do not depend on the batch"},
      {"tune-cache", "tune-cache", "worker", false, "folder with tables of linear layers for further GPUs"},
      {"tensor-parallel-size", "tensor-parallel-size", "worker", false, "GPUs that one model is split over; 1"},
      {"tokenizer-threads", "threads", "tokenizer", false, "threads that encode"},
      {"grpc-reflection", "grpc-reflection", "gateway", true, "answer gRPC server reflection on --grpc-port"},
      {"strict-parameters", "strict-parameters", "gateway", true, "refuse request parameters that are not known"},
      {"playground", "playground", "gateway", true, "serve a page to talk with the model at / of --port"},
      {"tool-call-parser", "tool-call-parser", "gateway", false,
       "how models write calls of tools: auto, hermes, llama3, none"},
      {"worker-stall-seconds", "worker-stall-seconds", "gateway", false,
       "without a step, for a worker with work, until its requests fail"},
      {"api-key-file", "api-key-file", "gateway", false, "keys with names and limits"},
      {"ssl-certfile", "ssl-certfile", "gateway", false, "certificate of --port and --grpc-port, PEM"},
      {"ssl-keyfile", "ssl-keyfile", "gateway", false, "its key, PEM without a passphrase"},
      {"ssl-ca-certs", "ssl-ca-certs", "gateway", false, "gRPC callers must show a certificate of theirs"},
      {"ssl-cert-reqs", "ssl-cert-reqs", "gateway", false, "certificates of HTTP callers: 0, 1, 2"},
      {"otlp-endpoint", "otlp-endpoint", "gateway", false, "collector that gets spans, as http://host:4318"},
      {"trace-sample-ratio", "trace-sample-ratio", "gateway", false, "share of traces that begin here and are sampled"},
      {"log-request-text-bytes", "log-request-text-bytes", "gateway", false, "of each prompt and answer, for the log"},
      {"http-threads", "http-threads", "gateway", false, "threads for connections"},
      {"max-connections", "max-connections", "gateway", false, "open HTTP connections"},
      {"max-requests", "max-requests", "gateway", false, "accepted requests that have not ended"},
      {"max-outstanding-tokens", "max-outstanding-tokens", "gateway", false, "tokens of those requests together"},
  };
  return flags;
}

ServeOptions::ServeOptions() : handed_on_values(HandedOnFlags().size()), handed_on_switches(HandedOnFlags().size()) {}

void ServeOptions::AddTo(Flags& flags) {
  flags.Add("model", &model, "model directory in the Hugging Face layout");
  flags.Require();
  flags.Add("served-model-name", &served_model_name, "name that requests use; the directory's own if not given");
  flags.Add("host", &host, "address that the gateway listens on; tokenizer and worker listen on 127.0.0.1");
  flags.AddPort("port", &port, "HTTP port of the OpenAI routes; 0 = any free one, also of the ports below");
  flags.AddPort("grpc-port", &grpc_port, "gRPC port of swiftlet.v1.InferenceService");
  flags.AddPort("admin-port", &admin_port, "the gateway's /metrics, /livez and /readyz");
  flags.AddPort("tokenizer-port", &tokenizer_port, "gRPC port of the tokenizer");
  flags.AddPort("tokenizer-admin-port", &tokenizer_admin_port, "the tokenizer's /metrics, /livez and /readyz");
  flags.AddPort("worker-port", &worker_port, "gRPC port of the worker");
  flags.AddPort("worker-admin-port", &worker_admin_port, "the worker's /metrics, /livez and /readyz");
  flags.AddSecret("api-key", &api_keys, "key that callers must send; repeatable; none = everybody may call");
  flags.AddChoice("log-level", &log_level, {"debug", "info", "warning", "error"}, "least serious lines to write");
  flags.AddChoice("log-format", &log_format, {"text", "json"}, "how a log line looks");
  flags.AddChoice("metrics-compat", &metrics_compat, MetricsCompatChoices(),
                  "whose names the gateway's and the worker's /metrics have beside our own");
  flags.Add("drain-seconds", &drain_seconds, "longest wait for running requests when stopping", {0, 86400});
  for (size_t i = 0; i < HandedOnFlags().size(); ++i) {
    const HandedOn& flag = HandedOnFlags()[i];
    const std::string help = absl::StrCat(flag.child, ": ", flag.help);
    if (flag.is_switch) {
      flags.Add(flag.name, &handed_on_switches[i], help);
    } else {
      flags.Add(flag.name, &handed_on_values[i], help);
    }
  }
}

std::vector<int32_t*> ServeOptions::OpenPorts() {
  std::vector<int32_t*> open;
  for (int32_t* candidate :
       {&port, &grpc_port, &admin_port, &tokenizer_port, &tokenizer_admin_port, &worker_port, &worker_admin_port}) {
    if (*candidate == 0) open.push_back(candidate);
  }
  return open;
}

std::vector<std::string> HandedOnArguments(const ServeOptions& options, const std::string& child) {
  std::vector<std::string> arguments;
  for (size_t i = 0; i < HandedOnFlags().size(); ++i) {
    const HandedOn& flag = HandedOnFlags()[i];
    if (flag.child != child) continue;
    if (options.handed_on_values[i].has_value()) {
      arguments.push_back(absl::StrCat("--", flag.child_name, "=", *options.handed_on_values[i]));
    }
    if (options.handed_on_switches[i].has_value()) {
      arguments.push_back(absl::StrCat(*options.handed_on_switches[i] ? "--" : "--no-", flag.child_name));
    }
  }
  return arguments;
}

ServePlan MakeServePlan(const ServeOptions& options, const std::string& bin,
                        const std::vector<std::string>& environment) {
  std::vector<std::string> clean;
  for (const std::string& variable : environment) {
    // Ours are read already, and a child that does not know one would refuse to start.
    if (!absl::StartsWith(variable, "SWIFTLET_")) clean.push_back(variable);
  }
  std::string name = options.served_model_name;
  if (name.empty()) {
    std::error_code error;
    name = std::filesystem::weakly_canonical(options.model, error).filename().string();
  }
  ServePlan plan;
  plan.drain_seconds = options.drain_seconds;
  const auto add = [&](const std::string& child, const std::string& host, int32_t admin_port,
                       const std::vector<std::string>& own) {
    PlannedChild planned;
    planned.spec.name = child;
    planned.spec.program = absl::StrCat(bin, "/swiftlet-", child);
    planned.spec.environment = clean;
    planned.spec.arguments = {absl::StrCat("--host=", host), absl::StrCat("--admin-port=", admin_port),
                              absl::StrCat("--drain-seconds=", options.drain_seconds),
                              absl::StrCat("--log-level=", options.log_level),
                              absl::StrCat("--log-format=", options.log_format)};
    for (const auto& more : {own, HandedOnArguments(options, child)}) {
      planned.spec.arguments.insert(planned.spec.arguments.end(), more.begin(), more.end());
    }
    planned.admin_host = Reachable(host);
    planned.admin_port = admin_port;
    plan.children.push_back(std::move(planned));
  };
  const std::string model = absl::StrCat("--model=", options.model);
  const std::string served = absl::StrCat("--served-model-name=", name);
  const std::string compat = absl::StrCat("--metrics-compat=", options.metrics_compat);
  add("worker", kInternalHost, options.worker_admin_port,
      {model, served, compat, absl::StrCat("--port=", options.worker_port)});
  add("tokenizer", kInternalHost, options.tokenizer_admin_port,
      {model, served, absl::StrCat("--port=", options.tokenizer_port)});
  add("gateway", options.host, options.admin_port,
      {compat, absl::StrCat("--port=", options.port), absl::StrCat("--grpc-port=", options.grpc_port),
       absl::StrCat("--tokenizer-endpoints=", Address(kInternalHost, options.tokenizer_port)),
       absl::StrCat("--worker-endpoints=", Address(kInternalHost, options.worker_port))});
  plan.children.back().after_others = true;  // a model that cannot be served opens no port to the outside
  if (!options.api_keys.empty()) {           // not on the command line, which every user of the machine can read
    plan.children.back().spec.environment.push_back(
        absl::StrCat("SWIFTLET_API_KEY=", absl::StrJoin(options.api_keys, ",")));
  }
  const std::string host = Reachable(options.host);
  const std::vector<std::string> to_gateway = HandedOnArguments(options, "gateway");
  const bool tls = std::any_of(to_gateway.begin(), to_gateway.end(), [](const std::string& argument) {
    return absl::StartsWith(argument, "--ssl-certfile=") && !absl::EndsWith(argument, "=");
  });
  const bool page = std::find(to_gateway.begin(), to_gateway.end(), "--playground") != to_gateway.end();
  plan.banner = absl::StrCat(
      "Swiftlet serves ", name, ".\n  OpenAI API  ", tls ? "https://" : "http://", Address(host, options.port), "/v1\n",
      page ? absl::StrCat("  playground  ", tls ? "https://" : "http://", Address(host, options.port), "/\n") : "",
      "  gRPC        ", Address(host, options.grpc_port), "\n  metrics     http://", Address(host, options.admin_port),
      "/metrics (gateway), http://", Address(kInternalHost, options.tokenizer_admin_port),
      "/metrics (tokenizer), http://", Address(kInternalHost, options.worker_admin_port), "/metrics (worker)\n");
  return plan;
}

}  // namespace swiftlet
