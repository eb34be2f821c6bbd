#include "tools/swiftlet/chat/chat_session.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/flag_names.h"
#include "tools/swiftlet/client/sse_reader.h"
#include "tools/swiftlet/client/terminal_text.h"

namespace swiftlet {
namespace {

constexpr char kHelp[] =
    "/reset             forget what was said; the system message and the settings stay\n"
    "/system TEXT       set the system message; without TEXT, take it away\n"
    "/set NAME VALUE    set temperature, max_tokens and the like; \"default\" takes the model's own again\n"
    "/set               show the settings\n"
    "/help              this\n"
    "/exit              end, as Ctrl-D does\n"
    "A \\ at the end of a line goes on with the next line; a message that begins with / is written with //.\n"
    "Ctrl-C stops an answer; what has come of it is kept.";

void Print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Complain(std::string_view text) {
  std::fputs(absl::StrCat("swiftlet chat: ", ToAbsl(TerminalText(text)), "\n").c_str(), stderr);
}

}  // namespace

ChatSession::ChatSession(HttpClient& client, Conversation& conversation, LineReader& lines, Interrupts* interrupts,
                         AnswerStyle style)
    : client_(client), conversation_(conversation), lines_(lines), interrupts_(interrupts), style_(style) {}

void ChatSession::Note(std::string_view text) const {
  const std::string shown = TerminalText(text);
  std::fputs((style_.colour ? absl::StrCat("\x1b[2m", shown, "\x1b[0m\n") : absl::StrCat(shown, "\n")).c_str(), stderr);
}

int ChatSession::Run() {
  bool interrupted_before = false;
  std::string message;  // lines that end with a backslash, so far
  for (;;) {
    const InputLine line = lines_.Read(message.empty() ? "> " : ". ");
    if (line.kind == InputLine::Kind::kEnd) return 0;
    if (line.kind == InputLine::Kind::kInterrupted) {
      message.clear();
      if (interrupted_before) return 0;
      interrupted_before = true;
      Note("Ctrl-C once more, or Ctrl-D, ends the chat.");
      continue;
    }
    interrupted_before = false;
    if (!line.text.empty() && line.text.back() == '\\') {
      absl::StrAppend(&message, ToAbsl(std::string_view(line.text).substr(0, line.text.size() - 1)), "\n");
      continue;
    }
    const bool first = message.empty();
    message += line.text;
    std::string whole(absl::StripAsciiWhitespace(message));
    message.clear();
    if (whole.empty()) continue;
    if (first && whole.front() == '/' && !(whole.size() > 1 && whole[1] == '/')) {
      if (!Command(whole)) return 0;
      continue;
    }
    if (first && whole.starts_with("//")) whole.erase(0, 1);
    if (!Ask(std::move(whole)) && interrupts_ == nullptr) return 1;
  }
}

bool ChatSession::Command(std::string_view line) {
  const size_t space = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view name = line.substr(0, space);
  const std::string_view rest = ToStd(absl::StripAsciiWhitespace(ToAbsl(line.substr(space))));
  if (name == "/exit" || name == "/quit") return false;
  if (name == "/help") {
    Note(kHelp);
  } else if (name == "/reset") {
    conversation_.Reset();
    Note("A new conversation begins.");
  } else if (name == "/system") {
    conversation_.SetSystem(std::string(rest));
    Note(rest.empty() ? "No system message." : "The system message is set, for this conversation too.");
  } else if (name == "/set") {
    const size_t gap = std::min(rest.find_first_of(" \t="), rest.size());
    const std::string_view value =
        ToStd(absl::StripAsciiWhitespace(ToAbsl(rest.substr(std::min(gap + 1, rest.size())))));
    if (!rest.empty()) {
      if (const absl::Status status = conversation_.Set(rest.substr(0, gap), value); !status.ok()) {
        Complain(ToStd(status.message()));
        return true;
      }
    }
    const std::string settings = conversation_.Settings();
    Note(settings.empty() ? "All settings are the model's own. There are " + Conversation::SettingNames() + "."
                          : settings);
  } else {
    const std::string nearest = NearestName(name, {"/exit", "/help", "/quit", "/reset", "/set", "/system"});
    Complain(
        absl::StrCat("there is no ", ToAbsl(name),
                     nearest.empty() ? "; /help lists all commands" : absl::StrCat("; did you mean ", nearest, "?")));
  }
  return true;
}

bool ChatSession::Ask(std::string question) {
  if (interrupts_ != nullptr) interrupts_->Clear();
  AnswerPrinter printer(style_, Print, AnswerPrinter::Clock::now());
  SseReader reader;
  std::string error;
  bool done = false;
  const auto on_data = [&](std::string_view data) {
    if (data == "[DONE]") {
      done = true;
      return;
    }
    const AnswerEvent event = ReadAnswerEvent(data);
    if (!event.error.empty() && error.empty()) error = event.error;
    printer.Take(event, AnswerPrinter::Clock::now());
  };
  const absl::Status status =
      client_.Post("/v1/chat/completions", conversation_.RequestBody(question), [&](std::string_view bytes) {
        if (!reader.Feed(bytes, on_data) && error.empty()) {
          error = "the server sent an event without an end";
        }
        return !done && error.empty();
      });
  printer.Finish();
  const bool stopped = absl::IsCancelled(status);
  if (stopped) {
    interrupts_->Clear();
  } else if (!status.ok()) {
    error = std::string(status.message());
  } else if (!done && error.empty()) {
    error = "the answer broke off";
  }
  if (!error.empty()) {
    Complain(error);
    return false;
  }
  std::string figures = printer.Figures(AnswerPrinter::Clock::now());
  if (stopped) figures = absl::StrCat("stopped: ", figures);
  if (printer.finish_reason() == "length") absl::StrAppend(&figures, "; cut off: the context or max_tokens is used up");
  if (stopped && printer.text().empty()) absl::StrAppend(&figures, "; nothing is kept of it");
  Note(absl::StrCat("[", figures, "]"));
  if (interrupts_ != nullptr) std::fputs("\n", stderr);
  if (!(stopped && printer.text().empty())) conversation_.Add(std::move(question), printer.text());
  return true;
}

}  // namespace swiftlet
