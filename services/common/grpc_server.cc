#include "services/common/grpc_server.h"

#include <absl/strings/str_cat.h>
#include <grpc/health/v1/health.pb.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "services/common/grpc_tls.h"
#include "services/common/limits.h"
#include "services/common/logging.h"

namespace swiftlet {
namespace {

constexpr int kHandshakeMs = 10'000;  // gRPC's own bound is 2 minutes

void GrpcLogLine(gpr_log_func_args* line) {
  const LogLevel level = line->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kWarning
                         : line->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  // gRPC aborts next: what waits for the log's thread is never written.
  if (std::strncmp(line->message, "assertion failed", 16) == 0) {
    std::fprintf(stderr, "%s:%d: %s\n", line->file, line->line, line->message);
  }
  Log(level, "grpc", {{"text", line->message}, {"file", line->file}, {"line", line->line}});
}

// Takes reflection from one server: gRPC's library gives it to every server of a program that links it.
class NoReflection : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) { return plugin->name() == "proto_server_reflection"; });
  }
};

}  // namespace

void RouteGrpcLog() {
  gpr_set_log_function(GrpcLogLine);
}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const std::vector<grpc::Service*>& services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::health::v1::HealthCheckRequest::descriptor();  // links and registers it, for reflection
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (!options.reflection) builder.SetOption(std::make_unique<NoReflection>());
  const bool ipv6 = options.host.find(':') != std::string::npos;
  const std::string address =
      ipv6 ? absl::StrCat("[", options.host, "]:", options.port) : absl::StrCat(options.host, ":", options.port);
  int bound_port = 0;
  auto server = std::unique_ptr<GrpcServer>(new GrpcServer);
  if (options.tls != nullptr) server->tls_ = std::make_unique<GrpcServerTls>(*options.tls);
  builder.AddListeningPort(
      address, server->tls_ != nullptr ? server->tls_->Credentials() : grpc::InsecureServerCredentials(), &bound_port);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  // By default gRPC shares a taken port with its owner, and half of the connections go to the wrong process.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(options.max_received_bytes);
  builder.SetMaxSendMessageSize(limits::kMaxGrpcMessageBytes);
  // gRPC looks at a message's size before it inflates it: a small one could become any size. None of ours is
  // compressed.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  // Agrees with MakeChannel, which pings every 5 s, with and without calls.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 2000);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server->options_ = options;
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || bound_port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address,
                     " (in use, or not an address of this machine); choose another port with ", options.port_flag));
  }
  server->port_ = bound_port;
  server->SetServing(false);
  return server;
}

GrpcServer::GrpcServer() = default;

GrpcServer::~GrpcServer() {
  Shutdown(std::chrono::steady_clock::now());
}

void GrpcServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  if (health == nullptr) return;
  health->SetServingStatus("", serving);
  for (const std::string& name : options_.health_names) health->SetServingStatus(name, serving);
}

void GrpcServer::Shutdown(std::chrono::steady_clock::time_point deadline) {
  if (server_ == nullptr) return;
  const auto left = deadline - std::chrono::steady_clock::now();
  // gRPC counts in wall time; only the distance matters.
  server_->Shutdown(std::chrono::system_clock::now() +
                    std::chrono::duration_cast<std::chrono::system_clock::duration>(
                        std::max(left, std::chrono::steady_clock::duration::zero())));
  server_->Wait();
  server_.reset();
}

}  // namespace swiftlet
