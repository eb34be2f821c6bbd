// Shows one answer as it streams: the thinking dimmed, the text after it, then a line of figures. Keeps the text for
// the conversation. Made for one answer; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tools/swiftlet/chat/answer_event.h"

namespace swiftlet {

struct AnswerStyle {
  bool colour = false;
  bool thinking = true;  // shown
};

class AnswerPrinter {
 public:
  using Clock = std::chrono::steady_clock;
  using Write = std::function<void(std::string_view)>;

  // The request is sent `now`.
  AnswerPrinter(AnswerStyle style, Write write, Clock::time_point now);

  void Take(const AnswerEvent& event, Clock::time_point now);
  // Ends the line and any colour, however the answer ended.
  void Finish();

  const std::string& text() const { return text_; }  // as the model wrote it, without the thinking
  const std::string& finish_reason() const { return finish_reason_; }
  // "57 tokens (31 of them thinking) in 0.46 s, first after 0.04 s, 136 tokens/s"
  std::string Figures(Clock::time_point now) const;

 private:
  enum class Part { kNothing, kThinking, kText };
  void Show(Part part, std::string_view text);

  const AnswerStyle style_;
  const Write write_;
  const Clock::time_point sent_;
  Part part_ = Part::kNothing;
  std::string held_newlines_;  // shown when something follows them
  std::string text_;
  std::string finish_reason_;
  std::optional<Clock::time_point> first_;  // token
  int64_t first_tokens_ = 0;                // that came with it
  Clock::time_point last_;
  std::optional<int64_t> tokens_;
  int64_t thinking_tokens_ = 0;
};

}  // namespace swiftlet
