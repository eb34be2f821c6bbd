// What a run measured: one thread's share of it, joined at the end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/swiftlet/bench/goodput.h"
#include "tools/swiftlet/bench/histogram.h"

namespace swiftlet::bench {

// Times of one answer as they come, in nanoseconds of the steady clock, and what the server said of it.
struct AnswerTimes {
  int64_t from_ns = 0;        // open loop: when it was due; closed loop: when it was handed to the connection
  int64_t first_text_ns = 0;  // 0: none came
  int64_t last_text_ns = 0;
  int64_t end_ns = 0;
  int64_t events = 0;  // with text
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;  // 0: the server did not say; then an event counts as one token
  int64_t cached_tokens = 0;
  std::vector<int64_t> gaps_ns = {};  // between its events with text

  // An event with text.
  void TakeText(int64_t now_ns);
};

struct Failures {
  int64_t count = 0;
  std::string example;  // the first one's message, as a line of UTF-8 that a terminal may be shown
};

struct Measurements {
  Histogram time_to_first_token;    // from_ns to the first event with text
  Histogram inter_token;            // see TakeAnswer
  Histogram between_events;         // of one answer, with text
  Histogram time_per_output_token;  // an answer's mean: (last - first text) / (tokens - 1)
  Histogram end_to_end;             // from_ns to the last byte
  Histogram send_lateness;          // open loop: from due to begun, the client's own doing
  int64_t completed = 0;
  int64_t good = 0;     // completed within all limits of the goodput
  int64_t refused = 0;  // 429, RESOURCE_EXHAUSTED: not among the failures
  int64_t cut_off = 0;  // under way when the run was interrupted
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t events = 0;
  std::map<std::string, Failures> failures;  // by code: "503", "connect", "timeout", ...
  std::string refused_example;
  int64_t last_end_ns = 0;  // of any request, by the steady clock

  // A whole answer. Inter-token: servers merge tokens into an event when they are behind, and say how many only at the
  // end, so each gap is divided by the tokens an event of this answer had on average, (tokens - 1) / (events - 1), and
  // counts once.
  void TakeAnswer(const AnswerTimes& times, const Goodput& limits);
  void Fail(const std::string& code, const std::string& message);
  void Refuse(const std::string& message);
  void Append(const Measurements& other);
  int64_t failed() const;
  int64_t ended() const { return completed + refused + failed(); }
};

}  // namespace swiftlet::bench
