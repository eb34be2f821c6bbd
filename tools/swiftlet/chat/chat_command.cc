#include "tools/swiftlet/chat/chat_command.h"

#include <absl/strings/str_cat.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/flags.h"
#include "services/common/tls_source.h"
#include "tools/swiftlet/chat/chat_session.h"
#include "tools/swiftlet/client/api_key.h"
#include "tools/swiftlet/client/model_list.h"
#include "tools/swiftlet/client/terminal_text.h"
#include "tools/swiftlet/client/tls_context.h"

namespace swiftlet {
namespace {

int Fail(const absl::Status& status, int code) {
  std::fputs(absl::StrCat("swiftlet chat: ", TerminalText(ToStd(status.message())), "\n").c_str(), stderr);
  return code;
}

bool Wanted(const std::string& choice, bool automatic) {
  return choice == "auto" ? automatic : choice == "always";
}

}  // namespace

int ChatCommand(int argc, char** argv) {
  std::string url = "http://127.0.0.1:8000";
  std::string model;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  std::string system;
  std::vector<std::string> settings;
  std::string colour = "auto";
  std::string thinking = "auto";
  TlsFlags tls("ssl");
  Flags flags("swiftlet chat",
              "Talks with a model of a running server. At the prompt, /help lists what else there is.");
  flags.Add("url", &url, "the server, http://HOST:PORT or https://HOST:PORT");
  flags.Add("model", &model, "the model's name; the first of /v1/models if not given");
  flags.AddSecret("api-key", &api_keys, "key to send");
  flags.Add("api-key-file", &api_key_file, "file in which the key stands alone");
  flags.Add("system", &system, "the system message");
  flags.Add("set", &settings, "settings as at the prompt, such as temperature=0.2,max_tokens=500");
  flags.AddChoice("thinking", &thinking, {"auto", "always", "never"},
                  "whether the thinking is shown; auto = at a terminal");
  flags.AddChoice("color", &colour, {"auto", "always", "never"}, "colours; auto = at a terminal without NO_COLOR");
  flags.AlsoSetBy("NO_COLOR", "never");
  tls.AddTo(flags, "certificate (and chain) to show the server, PEM",
            "CA certificates that the server's must come from; the system's if not given");
  const auto next = flags.Parse(argc, argv);
  if (!next.ok()) return Fail(next.status(), EX_USAGE);
  if (*next == Flags::Next::kExit) return 0;

  HttpClientOptions options;
  const auto parsed = ParseServerUrl(url);
  if (!parsed.ok())
    return Fail(absl::InvalidArgumentError(absl::StrCat("--url: ", parsed.status().message())), EX_USAGE);
  options.url = *parsed;
  if (api_keys.size() + (api_key_file.empty() ? 0 : 1) > 1) {
    return Fail(absl::InvalidArgumentError("one key is sent: --api-key once, or --api-key-file"), EX_USAGE);
  }
  if (!api_keys.empty()) {
    options.api_key = api_keys.front();
    if (const absl::Status status = CheckApiKey("--api-key", options.api_key); !status.ok()) {
      return Fail(status, EX_USAGE);
    }
  }
  if (!api_key_file.empty()) {
    auto key = ReadApiKey("--api-key-file", api_key_file);
    if (!key.ok()) return Fail(key.status(), EX_USAGE);
    options.api_key = *std::move(key);
  }
  if (const absl::Status status = CheckCallerTls(tls.paths); !status.ok()) return Fail(status, EX_USAGE);
  options.tls = tls.paths;

  const bool person = isatty(STDIN_FILENO) != 0;
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  std::unique_ptr<Interrupts> interrupts;
  if (person) {  // Ctrl-C in a pipeline ends it
    interrupts = std::make_unique<Interrupts>();
    options.interrupt_descriptor = interrupts->descriptor();
  }
  auto client = HttpClient::Create(std::move(options));
  if (!client.ok()) return Fail(client.status(), EX_USAGE);
  const auto names = ListModels(*client);
  if (absl::IsCancelled(names.status())) return 130;
  if (absl::IsUnauthenticated(names.status()) || absl::IsPermissionDenied(names.status())) {
    return Fail(
        absl::Status(names.status().code(), absl::StrCat(names.status().message(), "; --api-key-file gives a key")),
        EX_NOPERM);
  }
  if (!names.ok()) return Fail(names.status(), EX_UNAVAILABLE);
  const auto name = ChooseModel(*names, model);
  if (!name.ok()) return Fail(name.status(), EX_USAGE);

  Conversation conversation(*name);
  conversation.SetSystem(system);
  for (const std::string& setting : settings) {
    const size_t equals = std::min(setting.find('='), setting.size());
    const absl::Status status =
        conversation.Set(setting.substr(0, equals), setting.substr(std::min(equals + 1, setting.size())));
    if (!status.ok()) return Fail(absl::InvalidArgumentError(absl::StrCat("--set: ", status.message())), EX_USAGE);
  }
  const AnswerStyle style = {.colour = Wanted(colour, terminal), .thinking = Wanted(thinking, terminal)};
  if (person) {
    std::fputs(TerminalText(absl::StrCat("Talking with ", *name, " at ", url, ". /help lists commands, Ctrl-D ends.\n"))
                   .c_str(),
               stderr);
  }
  const std::unique_ptr<LineReader> lines =
      person ? LineReader::AtTerminal(terminal ? stdout : stderr, *interrupts) : LineReader::Plain();
  return ChatSession(*client, conversation, *lines, interrupts.get(), style).Run();
}

}  // namespace swiftlet
