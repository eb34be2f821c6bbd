#include "services/common/server.h"

#include <absl/strings/str_cat.h>

#include <cstdio>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/build_info.h"
#include "services/common/idle_memory.h"
#include "services/common/process_metrics.h"

namespace swiftlet {
namespace {

constexpr std::chrono::milliseconds kFileLook{500};  // between two looks at watched files

}  // namespace

Server::Server(const ServerOptions& options)
    : options_(options),
      flags_(options.program, options.description),
      admin_port_(options.admin_port),
      drain_seconds_(options.drain_seconds),
      log_{.process = options.name} {
  flags_.Add("host", &host_, "address the data and admin ports listen on");
  flags_.AddPort("admin-port", &admin_port_, "HTTP port of /metrics, /livez, /readyz and /health; 0 = any free one");
  flags_.AddChoice("log-level", &log_.level, {"debug", "info", "warning", "error"}, "least serious lines to write");
  flags_.AddChoice("log-format", &log_.format, {"text", "json"}, "how a log line looks");
  flags_.Add("drain-seconds", &drain_seconds_, "longest wait for running requests when stopping", {0, 86400});
}

Server::~Server() {
  LetGo();
}

void Server::LetGo() {
  health_.Listen(nullptr);
  admin_.reset();
}

std::optional<int> Server::Start(int argc, const char* const* argv) {
  const absl::StatusOr<Flags::Next> next = flags_.Parse(argc, argv);
  if (!next.ok()) return Fail(next.status());
  if (*next == Flags::Next::kExit) return 0;
  absl::StatusOr<std::unique_ptr<Logging>> logging = Logging::Start(log_);
  if (!logging.ok()) return Fail(logging.status());
  logging_ = *std::move(logging);
  AddProcessMetrics(options_.name, metrics_);
  absl::StatusOr<std::unique_ptr<AdminServer>> admin =
      AdminServer::Start({.host = host_, .port = admin_port_}, health_, metrics_, watchdog_);
  if (!admin.ok()) return Fail(admin.status());
  admin_ = *std::move(admin);
  LogInfo("starting", {{"version", BuildVersion()}, {"compiler", BuildCompiler()}, {"flags", flags_.Effective()}});
  return std::nullopt;
}

absl::StatusOr<const TlsSource*> Server::OpenTls(const TlsFlags& flags, const std::string& use) {
  if (!flags.given()) return nullptr;
  // Watched from before they are read: no change is missed.
  WatchFiles(flags.files(), [this, index = tls_sources_.size()] { tls_sources_[index]->ReadAgain(); });
  ASSIGN_OR_RETURN(std::unique_ptr<TlsSource> source, TlsSource::Open(flags, use, metrics_));
  return tls_sources_.emplace_back(std::move(source)).get();
}

int Server::Run(const std::function<void(std::chrono::steady_clock::time_point deadline)>& stop, bool serving_later) {
  if (!serving_later) health_.Set(HealthState::kServing);
  IdleMemory memory;
  auto memory_due = std::chrono::steady_clock::now() + IdleMemory::kInterval;
  const absl::Status status = stop_.Wait(kFileLook, [&] {
    for (FileWatch& watch : watches_) watch.Look();
    const auto now = std::chrono::steady_clock::now();
    if (now < memory_due) return;
    memory_due = now + IdleMemory::kInterval;
    memory.Look();
  });
  if (status.ok()) {
    LogInfo("stopping: draining", {{"drain_seconds", drain_seconds_}});
  } else {
    LogError("stopping: fault", {{"error", status.ToString()}});
  }
  health_.Set(HealthState::kDraining);
  stop(std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(drain_seconds_ * 1000)));
  LetGo();
  LogInfo("stopped");
  return status.ok() ? 0 : ExitStatus(status);
}

int Server::Fail(const absl::Status& status) {
  LetGo();
  const bool as_line = logging_ != nullptr && log_.format == "json";
  if (as_line) LogError("cannot start", {{"error", ToStd(status.message())}, {"exit_status", ExitStatus(status)}});
  logging_.reset();  // what waits comes before the last line
  if (as_line) return ExitStatus(status);
  const std::string line = absl::StrCat(options_.program, ": ", status.message(), "\n");
  std::fputs(line.c_str(), stderr);
  return ExitStatus(status);
}

int ExitStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kDataLoss:  // a truncated model file
      return 78;
    case absl::StatusCode::kUnavailable:
      return 69;
    default:
      return 70;
  }
}

}  // namespace swiftlet
