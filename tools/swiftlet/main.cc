// swiftlet: the command people type. Each subcommand is a folder beside this file and a row of the table.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <sysexits.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/build_info.h"
#include "services/common/flag_names.h"
#include "tools/swiftlet/bench/bench_command.h"
#include "tools/swiftlet/chat/chat_command.h"
#include "tools/swiftlet/inspect/inspect_command.h"
#include "tools/swiftlet/serve/serve_command.h"

namespace swiftlet {
namespace {

struct Command {
  const char* name;
  const char* help;
  int (*run)(int argc, char** argv);  // argv[0] is the subcommand
};

constexpr Command kCommands[] = {
    {"serve", "serve a model on this machine: gateway, tokenizer and worker, supervised", ServeCommand},
    {"chat", "talk with a model of a running server, in the terminal", ChatCommand},
    {"bench", "load a running server and say how it did", bench::BenchCommand},
    {"inspect", "say what a model directory holds and what it costs in memory", InspectCommand},
};

std::string Usage() {
  std::string text = "Usage: swiftlet COMMAND [FLAGS]\n\n";
  for (const Command& command : kCommands) absl::StrAppendFormat(&text, "  %-8s %s\n", command.name, command.help);
  absl::StrAppend(&text, "\n`swiftlet COMMAND --help` lists a command's flags.\n");
  return text;
}

// The exit code of a command that ended with `code`: what it wrote may not have found room.
int Written(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fputs("swiftlet: standard output cannot be written\n", stderr);
  return code == 0 ? EX_IOERR : code;
}

int Main(int argc, char** argv) {
  const std::string name = argc < 2 ? "" : argv[1];
  if (name == "--help" || name == "help") {
    std::fputs(Usage().c_str(), stdout);
    return 0;
  }
  if (name == "--version") {
    std::printf("swiftlet %s\n", std::string(BuildVersion()).c_str());
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (name == command.name) return Written(command.run(argc - 1, argv + 1));
    names.emplace_back(command.name);
  }
  if (name.empty()) {
    std::fputs(Usage().c_str(), stderr);
    return EX_USAGE;
  }
  const std::string nearest = NearestName(name, names);
  const std::string line = absl::StrCat(
      "swiftlet: unknown command \"", name, "\"",
      nearest.empty() ? "; swiftlet --help lists all" : absl::StrCat("; did you mean ", nearest, "?"), "\n");
  std::fputs(line.c_str(), stderr);
  return EX_USAGE;
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  return swiftlet::Main(argc, argv);
}
