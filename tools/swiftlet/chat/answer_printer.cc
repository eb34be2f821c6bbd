#include "tools/swiftlet/chat/answer_printer.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <utility>

#include "tools/swiftlet/client/terminal_text.h"

namespace swiftlet {
namespace {

constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kPlain = "\x1b[0m";

double Seconds(AnswerPrinter::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

AnswerPrinter::AnswerPrinter(AnswerStyle style, Write write, Clock::time_point now)
    : style_(style), write_(std::move(write)), sent_(now), last_(now) {}

void AnswerPrinter::Take(const AnswerEvent& event, Clock::time_point now) {
  if (event.tokens.has_value()) tokens_ = event.tokens;
  if (event.thinking_tokens.has_value()) thinking_tokens_ = *event.thinking_tokens;
  if (!event.finish_reason.empty()) finish_reason_ = event.finish_reason;
  if (event.thinking.empty() && event.text.empty()) return;
  if (!first_.has_value()) {
    first_ = now;
    first_tokens_ = tokens_.value_or(1);
  }
  last_ = now;
  text_ += event.text;
  if (style_.thinking) Show(Part::kThinking, event.thinking);
  Show(Part::kText, event.text);
}

// Without line feeds at the beginning and the end of a part: templates put them around the reasoning.
void AnswerPrinter::Show(Part part, std::string_view text) {
  if (part != part_) {
    text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
    if (text.empty()) return;
    held_newlines_.clear();
    std::string begin;
    if (part_ == Part::kThinking) begin = absl::StrCat(style_.colour ? "\x1b[0m" : "", "\n\n");
    if (part == Part::kThinking) {
      begin = std::string(style_.colour ? kDim : "[thinking]\n");
    } else if (!style_.colour && part_ == Part::kThinking) {
      begin += "[answer]\n";
    }
    part_ = part;
    write_(begin);
  }
  const size_t last = text.find_last_not_of('\n');
  if (last == std::string_view::npos) {
    held_newlines_ += text;
    return;
  }
  write_(absl::StrCat(held_newlines_, TerminalText(text.substr(0, last + 1))));
  held_newlines_ = std::string(text.substr(last + 1));
}

void AnswerPrinter::Finish() {
  if (part_ == Part::kNothing) return;
  if (part_ == Part::kThinking && style_.colour) write_(kPlain);
  write_("\n");
}

std::string AnswerPrinter::Figures(Clock::time_point now) const {
  if (!first_.has_value()) return absl::StrFormat("nothing in %.2f s", Seconds(now - sent_));
  std::string figures;
  if (tokens_.has_value()) {
    absl::StrAppend(&figures, *tokens_, *tokens_ == 1 ? " token" : " tokens");
    if (thinking_tokens_ > 0) absl::StrAppend(&figures, " (", thinking_tokens_, " of them thinking)");
    absl::StrAppend(&figures, " ");
  }
  absl::StrAppendFormat(&figures, "in %.2f s, first after %.2f s", Seconds(now - sent_), Seconds(*first_ - sent_));
  const double decode_s = Seconds(last_ - *first_);
  if (tokens_.value_or(0) > first_tokens_ && decode_s > 0) {
    absl::StrAppendFormat(&figures, ", %.0f tokens/s", static_cast<double>(*tokens_ - first_tokens_) / decode_s);
  }
  return figures;
}

}  // namespace swiftlet
