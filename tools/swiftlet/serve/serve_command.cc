#include "tools/swiftlet/serve/serve_command.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <utility>

#include "services/common/flags.h"
#include "services/common/server.h"
#include "services/common/stop_signal.h"
#include "tools/swiftlet/serve/ports.h"
#include "tools/swiftlet/serve/serve_plan.h"
#include "tools/swiftlet/serve/supervisor.h"

namespace swiftlet {
namespace {

int Fail(const absl::Status& status) {
  std::fputs(absl::StrCat("swiftlet serve: ", status.message(), "\n").c_str(), stderr);
  return ExitStatus(status);
}

}  // namespace

int ServeCommand(int argc, char** argv) {
  ServeOptions options;
  Flags flags("swiftlet serve", "Serves a model on this machine: one gateway, one tokenizer and one worker.");
  options.AddTo(flags);
  const absl::StatusOr<Flags::Next> next = flags.Parse(argc, argv);
  if (!next.ok()) return Fail(next.status());
  if (*next == Flags::Next::kExit) return 0;
  StopSignal stop;

  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return Fail(absl::InternalError(absl::StrCat("cannot find its own folder: ", error.message())));
  const std::vector<int32_t*> open = options.OpenPorts();
  const absl::StatusOr<std::vector<int32_t>> ports = FreePorts(open.size());
  if (!ports.ok()) return Fail(ports.status());
  for (size_t i = 0; i < open.size(); ++i) *open[i] = (*ports)[i];

  for (const auto& [port, flag] : {std::pair(options.port, "port"), std::pair(options.grpc_port, "grpc-port"),
                                   std::pair(options.admin_port, "admin-port")}) {
    if (const absl::Status status = CheckPort(options.host, port, flag); !status.ok()) return Fail(status);
  }

  std::vector<std::string> environment;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  return Supervise(MakeServePlan(options, self.parent_path().string(), environment), stop);
}

}  // namespace swiftlet
