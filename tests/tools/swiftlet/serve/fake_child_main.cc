// A server that serves nothing: ready after a while, and stops, hangs or fails as it is told.
#include <csignal>
#include <cstdio>
#include <thread>

#include "services/common/server.h"

int main(int argc, char** argv) {
  swiftlet::Server process({.name = "fake", .program = "fake-child", .description = "for tests of the supervisor"});
  int32_t ready_after_ms = 0;
  int32_t fail_after_ms = -1;
  int32_t die_after_ms = -1;
  int32_t stop_after_ms = 0;
  std::string stop_log;
  process.flags().Add("ready-after-ms", &ready_after_ms, "until /readyz is 200");
  process.flags().Add("fail-after-ms", &fail_after_ms, "from ready to a fault; -1 = never");
  process.flags().Add("die-after-ms", &die_after_ms, "from ready to SIGKILL; -1 = never");
  process.flags().Add("stop-after-ms", &stop_after_ms, "from SIGTERM to the end");
  process.flags().Add("stop-log", &stop_log, "file that gets a line on SIGTERM: --stop-log=FILE:LINE");
  if (const std::optional<int> code = process.Start(argc, argv)) return *code;
  std::this_thread::sleep_for(std::chrono::milliseconds(ready_after_ms));
  std::thread fault([&] {
    if (die_after_ms >= 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(die_after_ms));
      std::fputs("last words\n", stderr);
      std::raise(SIGKILL);
    }
    if (fail_after_ms < 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(fail_after_ms));
    process.Fault(absl::InvalidArgumentError("told to fail"));
  });
  const int code = process.Run([&](auto) {
    if (const size_t colon = stop_log.rfind(':'); colon != std::string::npos) {
      if (std::FILE* file = std::fopen(stop_log.substr(0, colon).c_str(), "a"); file != nullptr) {
        std::fprintf(file, "%s\n", stop_log.c_str() + colon + 1);
        std::fclose(file);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(stop_after_ms));
  });
  fault.join();
  return code;
}
