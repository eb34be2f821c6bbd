// swiftlet-tokenizer: messages or text to token ids, over gRPC. Stateless; any number of replicas.
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "services/common/grpc_server.h"
#include "services/common/idle_memory.h"
#include "services/common/server.h"
#include "services/tokenizer/encode_pool.h"
#include "services/tokenizer/served_model.h"
#include "services/tokenizer/tokenizer_metrics.h"
#include "services/tokenizer/tokenizer_service.h"

namespace {

constexpr size_t kQueueCapacity = 1024;  // requests that may wait; each holds at most one prompt

constexpr std::chrono::seconds kStuck{60};  // the longest prompt takes a second of one thread

}  // namespace

int main(int argc, char** argv) {
  using namespace swiftlet;
  KeepLargeBlocksApart();
  Server server({.name = "tokenizer",
                 .program = "swiftlet-tokenizer",
                 .description = "Turns messages and text into token ids, over gRPC",
                 .admin_port = 8102});
  std::vector<std::string> models;
  std::vector<std::string> served_names;
  int32_t port = 8101;
  int32_t threads = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
  server.flags().Add("model", &models, "A model directory, DIR or NAME=DIR; several for several models");
  server.flags().Require();
  server.flags().Add("served-model-name", &served_names, "What callers call the models, in the order of --model");
  server.flags().AddPort("port", &port, "gRPC port");
  TlsFlags internal_tls("internal-ssl");
  internal_tls.AddTo(server.flags(), "certificate of --port, PEM; read again when it changes",
                     "CA certificates that those of gateways must come from");
  server.flags().Add("threads", &threads, "Threads that encode", {1, 1024});
  if (const auto code = server.Start(argc, argv)) return *code;
  PrepareGrpc();
  if (const absl::Status status = internal_tls.Check(/*needs_authorities=*/true); !status.ok()) {
    return server.Fail(status);
  }
  const auto tls = server.OpenTls(internal_tls, "internal");
  if (!tls.ok()) return server.Fail(tls.status());

  auto specs = ParseModelSpecs(models, served_names);
  if (!specs.ok()) return server.Fail(specs.status());
  ServedModels served;
  for (const ModelSpec& spec : *specs) {
    auto model = LoadServedModel(spec);
    if (!model.ok()) return server.Fail(model.status());
    LogInfo("model loaded", {{"model", spec.name},
                             {"directory", spec.directory},
                             {"vocabulary", model->info.vocabulary_size()},
                             {"chat_template", model->chat_template != nullptr}});
    served.emplace(spec.name, *std::move(model));
  }

  TokenizerMetrics metrics(server.metrics());
  EncodePool pool(threads, kQueueCapacity);
  metrics.Watch(pool, served);
  server.watchdog().Watch("queue of prompts", kStuck, [&pool] {
    return Watchdog::Reading{.has_work = pool.waiting() > 0, .progress = pool.begun()};
  });
  const absl::TimeZone zone = absl::LocalTimeZone();
  TokenizerService service(served, pool, metrics, [zone] { return absl::ToCivilSecond(absl::Now(), zone); });

  auto grpc = GrpcServer::Start(
      {.host = server.host(), .port = port, .tls = *tls, .health_names = {"swiftlet.v1.TokenizerService"}}, {&service});
  if (!grpc.ok()) return server.Fail(grpc.status());
  LogInfo("serving", {{"port", (*grpc)->port()}});
  server.health().Listen([&](bool serving) { (*grpc)->SetServing(serving); });
  const int code = server.Run([&](auto deadline) {
    service.Close();
    (*grpc)->Shutdown(deadline);
  });
  server.health().Listen(nullptr);
  pool.Close();  // its jobs use the models and the service
  return code;
}
