#include "tools/swiftlet/inspect/inspect_command.h"

#include <absl/strings/str_cat.h>
#include <sysexits.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/flags.h"
#include "tools/swiftlet/client/terminal_text.h"
#include "tools/swiftlet/inspect/model_report.h"
#include "tools/swiftlet/inspect/report_text.h"

namespace swiftlet {
namespace {

int Fail(absl::string_view message, int code) {
  std::fputs(absl::StrCat("swiftlet inspect: ", TerminalText(ToStd(message)), "\n").c_str(), stderr);
  return code;
}

}  // namespace

int InspectCommand(int argc, char** argv) {
  std::string directory;
  std::vector<std::string> memory = {"16GB", "80GB"};
  bool as_json = false;
  Flags flags("swiftlet inspect", "Says what a model directory holds and what it costs in memory.");
  flags.AddOperand("DIR", &directory, "the model directory, in the Hugging Face layout");
  flags.Add("memory", &memory, "say how many sequences fit in this much, such as 80GB or 24GiB; repeatable");
  flags.Add("json", &as_json, "write JSON");
  const auto next = flags.Parse(argc, argv);
  if (!next.ok()) return Fail(next.status().message(), EX_USAGE);
  if (*next == Flags::Next::kExit) return 0;
  std::vector<int64_t> memory_bytes;
  for (const std::string& size : memory) {
    const absl::Status status = ParseBytes(size, &memory_bytes.emplace_back());
    if (!status.ok()) return Fail(absl::StrCat("--memory: ", status.message()), EX_USAGE);
  }
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error)) {
    return Fail(
        absl::StrCat(directory, ": ", error ? error.message() : "a model directory is needed, and this is none"),
        EX_NOINPUT);
  }
  const ModelReport report = InspectModel(directory);
  std::fputs((as_json ? ReportJson(report, memory_bytes) : TerminalText(ReportText(report, memory_bytes))).c_str(),
             stdout);
  return report.problems.empty() ? 0 : 1;
}

}  // namespace swiftlet
