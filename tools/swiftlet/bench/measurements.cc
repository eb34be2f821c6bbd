#include "tools/swiftlet/bench/measurements.h"

#include <algorithm>

#include "tools/swiftlet/bench/steady_time.h"
#include "tools/swiftlet/client/terminal_text.h"

namespace swiftlet::bench {

void AnswerTimes::TakeText(int64_t now_ns) {
  if (events++ == 0) {
    first_text_ns = now_ns;
  } else {
    gaps_ns.push_back(now_ns - last_text_ns);
  }
  last_text_ns = now_ns;
}

void Measurements::TakeAnswer(const AnswerTimes& times, const Goodput& limits) {
  const int64_t tokens = times.completion_tokens > 0 ? times.completion_tokens : times.events;
  const double gap_share = times.events > 1 && tokens > times.events
                               ? static_cast<double>(times.events - 1) / static_cast<double>(tokens - 1)
                               : 1;
  int64_t longest_gap_ns = 0;
  for (const int64_t gap_ns : times.gaps_ns) {
    longest_gap_ns = std::max(longest_gap_ns, gap_ns);
    between_events.Add(gap_ns);
    inter_token.Add(static_cast<int64_t>(static_cast<double>(gap_ns) * gap_share));
  }
  int64_t first_ns = 0;
  int64_t per_token_ns = 0;
  if (times.events > 0) {
    first_ns = times.first_text_ns - times.from_ns;
    time_to_first_token.Add(first_ns);
    if (tokens > 1 && times.events > 1) {
      per_token_ns = (times.last_text_ns - times.first_text_ns) / (tokens - 1);
      time_per_output_token.Add(per_token_ns);
    }
  }
  const int64_t whole_ns = times.end_ns - times.from_ns;
  end_to_end.Add(whole_ns);
  ++completed;
  last_end_ns = std::max(last_end_ns, times.end_ns);
  good += first_ns <= limits.first_token_ns && per_token_ns <= limits.per_output_token_ns &&
          longest_gap_ns <= limits.gap_ns && whole_ns <= limits.end_to_end_ns;
  prompt_tokens += times.prompt_tokens;
  cached_tokens += times.cached_tokens;
  completion_tokens += tokens;
  events += times.events;
}

void Measurements::Fail(const std::string& code, const std::string& message) {
  last_end_ns = NowNs();
  Failures& found = failures[code];
  if (found.count++ == 0) found.example = TerminalLine(message);
}

void Measurements::Refuse(const std::string& message) {
  last_end_ns = NowNs();
  if (refused++ == 0) refused_example = TerminalLine(message);
}

void Measurements::Append(const Measurements& other) {
  time_to_first_token.Append(other.time_to_first_token);
  inter_token.Append(other.inter_token);
  between_events.Append(other.between_events);
  time_per_output_token.Append(other.time_per_output_token);
  end_to_end.Append(other.end_to_end);
  send_lateness.Append(other.send_lateness);
  completed += other.completed;
  good += other.good;
  if (refused == 0) refused_example = other.refused_example;
  refused += other.refused;
  cut_off += other.cut_off;
  last_end_ns = std::max(last_end_ns, other.last_end_ns);
  prompt_tokens += other.prompt_tokens;
  cached_tokens += other.cached_tokens;
  completion_tokens += other.completion_tokens;
  events += other.events;
  for (const auto& [code, found] : other.failures) {
    Failures& mine = failures[code];
    if (mine.count == 0) mine.example = found.example;
    mine.count += found.count;
  }
}

int64_t Measurements::failed() const {
  int64_t total = 0;
  for (const auto& [code, found] : failures) total += found.count;
  return total;
}

}  // namespace swiftlet::bench
