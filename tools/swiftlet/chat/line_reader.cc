#include "tools/swiftlet/chat/line_reader.h"

#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cwchar>
#include <iostream>
#include <optional>
#include <utility>

namespace swiftlet {
namespace {

constexpr int kRememberedLines = 500;

class TerminalReader : public LineReader {
 public:
  TerminalReader(std::FILE* prompts, Interrupts& interrupts) : prompts_(prompts), interrupts_(interrupts) {
    setlocale(LC_CTYPE, "C.UTF-8");
    history_ = history_init();
    HistEvent event;
    history(history_, &event, H_SETSIZE, kRememberedLines);
    history(history_, &event, H_SETUNIQUE, 1);
    edit_ = el_init("swiftlet", stdin, prompts, stderr);
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(edit_, EL_PROMPT, Prompt);
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_SIGNAL, 0);
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_wset(edit_, EL_GETCFN, GetCharacter);
  }

  ~TerminalReader() override {
    el_end(edit_);
    history_end(history_);
  }

  InputLine Read(const std::string& prompt) override {
    prompt_ = prompt;
    interrupted_ = false;
    el_resize(edit_);
    el_set(edit_, EL_PREP_TERM,
           1);  // before the prompt: el_gets does it after, and the terminal echoes what comes between
    int length = 0;
    const char* line = el_gets(edit_, &length);
    if (interrupted_) {
      el_reset(edit_);
      std::fputs("^C\n", prompts_);
      return {InputLine::Kind::kInterrupted, ""};
    }
    if (line == nullptr || length <= 0) {
      std::fputs("\n", prompts_);
      return {InputLine::Kind::kEnd, ""};
    }
    std::string text(line, static_cast<size_t>(length));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (!text.empty()) {
      HistEvent event;
      history(history_, &event, H_ENTER, text.c_str());
    }
    return {InputLine::Kind::kText, std::move(text)};
  }

 private:
  static TerminalReader& Of(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<TerminalReader*>(self);
  }
  static char* Prompt(EditLine* edit) { return Of(edit).prompt_.data(); }
  static int GetCharacter(EditLine* edit, wchar_t* character) { return Of(edit).NextCharacter(character); }

  // 1, or 0 at the end, or -1 to leave el_gets.
  int NextByte(char* byte) {
    if (put_back_.has_value()) {
      *byte = *std::exchange(put_back_, std::nullopt);
      return 1;
    }
    for (;;) {
      pollfd waiting[] = {{STDIN_FILENO, POLLIN, 0}, {interrupts_.descriptor(), POLLIN, 0}};
      if (poll(waiting, 2, -1) < 0) {
        if (errno == EINTR) continue;
        return -1;
      }
      if ((waiting[1].revents & POLLIN) != 0 && interrupts_.Clear()) {
        interrupted_ = true;
        return -1;
      }
      const ssize_t count = read(STDIN_FILENO, byte, 1);
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      return count > 0 ? 1 : 0;
    }
  }

  // Likewise.
  int NextCharacter(wchar_t* character) {
    std::mbstate_t state = {};
    for (bool is_first = true;; is_first = false) {
      char byte;
      if (const int got = NextByte(&byte); got != 1) return got;
      const size_t used = std::mbrtowc(character, &byte, 1, &state);
      if (used == static_cast<size_t>(-2)) continue;  // more bytes belong to it
      if (used == static_cast<size_t>(-1)) {
        *character = L'\xFFFD';
        if (!is_first) put_back_ = byte;  // what cut a character short is one itself: Enter, behind Latin-1's e acute
      }
      return 1;
    }
  }

  std::FILE* const prompts_;
  Interrupts& interrupts_;
  History* history_ = nullptr;
  EditLine* edit_ = nullptr;
  std::string prompt_;
  std::optional<char> put_back_;
  bool interrupted_ = false;
};

class PlainReader : public LineReader {
 public:
  InputLine Read(const std::string&) override {
    std::string text;
    if (!std::getline(std::cin, text)) return {InputLine::Kind::kEnd, ""};
    if (!text.empty() && text.back() == '\r') text.pop_back();
    return {InputLine::Kind::kText, std::move(text)};
  }
};

}  // namespace

std::unique_ptr<LineReader> LineReader::AtTerminal(std::FILE* prompts, Interrupts& interrupts) {
  return std::make_unique<TerminalReader>(prompts, interrupts);
}

std::unique_ptr<LineReader> LineReader::Plain() {
  return std::make_unique<PlainReader>();
}

}  // namespace swiftlet
