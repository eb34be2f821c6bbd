#include "services/gateway/gateway_flags.h"

#include <algorithm>
#include <thread>

#include "engine/base/status_macros.h"
#include "services/common/vllm_names.h"

namespace swiftlet {

void GatewayFlags::AddTo(Flags& flags) {
  flags.AddPort("port", &port, "HTTP port of the OpenAI routes; 0 = any free one");
  flags.AddPort("grpc-port", &grpc_port, "port of swiftlet.v1.InferenceService; 0 = any free one");
  flags.Add("grpc-reflection", &grpc_reflection, "answer gRPC server reflection on --grpc-port, to every caller");
  flags.Add("tokenizer-endpoints", &tokenizer_endpoints, "tokenizers, as host:port,host:port");
  flags.Add("worker-endpoints", &worker_endpoints, "model workers, as host:port,host:port");
  flags.Add("endpoint-refresh-seconds", &endpoint_refresh_seconds, "between two look-ups of their names", {0.1, 3600});
  flags.Add("worker-stall-seconds", &worker_stall_seconds,
            "without a step, for a worker with work, until its requests move to another", {1, 86400});
  flags.AddSecret("api-key", &api_keys, "key that callers must send; repeatable; none = everybody may call");
  flags.Add("api-key-file", &api_key_file,
            "keys with names and limits, one JSON object a line; read again when it changes");
  callers_tls.AddTo(flags, "certificate (and chain) of --port and --grpc-port, PEM; read again when it changes",
                    "CA certificates: gRPC callers must show a certificate of theirs");
  flags.Add("ssl-cert-reqs", &ssl_cert_reqs,
            "certificates of HTTP callers: 0 = not asked for, 1 = asked for and checked, 2 = required", {0, 2});
  internal_tls.AddTo(flags, "certificate to show tokenizers and workers, PEM; read again when it changes",
                     "CA certificates that those of tokenizers and workers must come from");
  flags.Add("internal-ssl-server-name", &internal_ssl_server_name,
            "name that certificates of tokenizers and workers must be made out to");
  flags.Add("strict-parameters", &strict_parameters, "refuse request parameters that are not known");
  flags.Add("playground", &playground, "serve a page to talk with the models at / of --port, to everybody");
  flags.AddChoice("tool-call-parser", &tool_call_parser, {"auto", "hermes", "llama3", "none"},
                  "how the models write calls of tools; auto = as their chat templates say");
  flags.AddChoice("metrics-compat", &metrics_compat, MetricsCompatChoices(),
                  "whose names /metrics has beside our own: vllm = those of vLLM's server");
  flags.Add("otlp-endpoint", &otlp_endpoint,
            "collector that gets the spans of sampled requests, as http://host:4318; empty = none");
  flags.Add("trace-sample-ratio", &trace_sample_ratio,
            "share of traces that begin here and are sampled; of others their caller decides", {0, 1});
  flags.Add("log-request-text-bytes", &log_request_text_bytes,
            "of each prompt and answer, for the request's log line; 0 = no text is ever logged", {0, 8192});
  flags.Add("http-threads", &http_threads, "threads for connections", {1, 256});
  flags.Add("max-connections", &max_connections, "open HTTP connections", {1, 1 << 20});
  flags.Add("max-requests", &max_requests, "accepted requests that have not ended", {1, 1 << 24});
  flags.Add("max-outstanding-tokens", &max_outstanding_tokens,
            "tokens of those requests together: prompts, and what max_tokens lets them generate",
            {1, int64_t{1} << 40});
}

absl::Status GatewayFlags::Check() const {
  RETURN_IF_ERROR(callers_tls.Check(/*needs_authorities=*/false));
  if (ssl_cert_reqs != 0 && callers_tls.paths.authorities.empty()) {
    return absl::InvalidArgumentError("--ssl-ca-certs is missing: --ssl-cert-reqs asks for certificates of theirs");
  }
  RETURN_IF_ERROR(internal_tls.Check(/*needs_authorities=*/true));
  if (internal_ssl_server_name.empty()) return absl::InvalidArgumentError("--internal-ssl-server-name is empty");
  return absl::OkStatus();
}

int32_t GatewayFlags::DefaultHttpThreads() {
  return std::clamp(static_cast<int32_t>(std::thread::hardware_concurrency() / 2), 1, 16);
}

}  // namespace swiftlet
