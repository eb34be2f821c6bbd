// The flags of swiftlet-gateway beside those of every server (services/common/server.h), with their defaults.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <string>
#include <vector>

#include "services/common/flags.h"
#include "services/common/tls_source.h"
#include "services/gateway/admission/admission.h"
#include "services/gateway/http/http_server.h"
#include "services/gateway/workers/worker_link.h"

namespace swiftlet {

struct GatewayFlags {
  int32_t port = 8000;
  int32_t grpc_port = 8001;
  bool grpc_reflection = false;
  std::string tokenizer_endpoints = "127.0.0.1:8101";
  std::string worker_endpoints = "127.0.0.1:8201";
  double endpoint_refresh_seconds = 5;
  double worker_stall_seconds = static_cast<double>(WorkerLink::Options().stall_us) * 1e-6;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  TlsFlags callers_tls{"ssl"};
  int32_t ssl_cert_reqs = 0;
  TlsFlags internal_tls{"internal-ssl"};
  std::string internal_ssl_server_name = "swiftlet";
  bool strict_parameters = false;
  bool playground = false;
  std::string tool_call_parser = "auto";
  std::string metrics_compat = "none";
  std::string otlp_endpoint;
  double trace_sample_ratio = 1;
  int32_t log_request_text_bytes = 0;
  int32_t http_threads = DefaultHttpThreads();
  int32_t max_connections = HttpServerOptions().max_connections;
  int64_t max_requests = Admission::Options().max_requests;
  int64_t max_outstanding_tokens = Admission::Options().max_tokens;

  void AddTo(Flags& flags);
  // What no flag shows by itself: INVALID_ARGUMENT names one.
  absl::Status Check() const;

  // Half of the machine's cores, 1 to 16.
  static int32_t DefaultHttpThreads();
};

}  // namespace swiftlet
