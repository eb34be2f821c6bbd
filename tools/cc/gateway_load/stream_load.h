// Callers of a gateway on one thread and one epoll: streams that ask again when an answer ends, requests at a rate,
// streams that are held open, and readers of a byte a second. Owned by main.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tools/cc/gateway_load/caller.h"
#include "tools/cc/gateway_load/mock_worker.h"

namespace swiftlet {

struct StreamLoadOptions {
  uint16_t port = 8000;
  bool chat = true;            // else completions of token ids
  int32_t streams = 64;        // connections that each ask for `answers`; with a rate, the most there may be
  int32_t tokens = 128;        // of every answer
  int32_t answers = 1;         // of each stream, one after the other
  int32_t slow_readers = 0;    // beside them: read a byte a second
  int32_t slow_tokens = 8000;  // of what those ask for
  double rate = 0;             // requests a second for `seconds`, each on a connection that is free
  double seconds = 0;          // with a rate, with held streams and with slow readers alone: how long
  bool hold = false;           // until `seconds` after every stream has its first event, then leave
};

struct StreamLoadResult {
  int64_t answers = 0;  // whole: every token came
  int64_t tokens = 0;   // of those
  int64_t events = 0;   // of those, but for the usage and the end
  int64_t bytes = 0;    // of those, without their heads
  double wall_s = 0;
  std::vector<double> first_added_us;  // time to the first token without the worker's
  std::vector<double> token_added_us;  // from a token's leaving the worker to its arrival, where events are not merged
  std::vector<double> first_ms;        // as a caller sees it
  std::vector<double> answer_ms;
  std::vector<double> refused_ms;    // 429: from the request to its whole answer
  int64_t refused_without_time = 0;  // of those, without Retry-After
  int64_t not_begun = 0;             // with a rate: no connection was free
  std::vector<double> slow_cut_s;    // slow readers that were cut off, and when
  int64_t slow_done = 0;             // slow readers that got all of it
  std::map<std::string, int64_t> errors;
};

class StreamLoad {
 public:
  // `on_held`: with `hold`, once, when every stream has its first event; with slow readers, once a second.
  StreamLoad(const StreamLoadOptions& options, const TokenTimes& times, std::function<void()> on_held);
  ~StreamLoad();
  StreamLoadResult Run();

 private:
  struct Stream {
    Caller caller;
    int32_t left = 0;  // answers to ask for
    bool slow = false;
    bool open = false;                   // connected, in the epoll
    std::vector<int64_t> event_ns = {};  // by event of the answer
  };

  std::string Request(int32_t index, int32_t tokens) const;
  void Ask(Stream& stream, int64_t now_ns);
  void OnReady(Stream& stream, uint32_t events);
  void OnDone(Stream& stream, int64_t now_ns);
  void OnBroken(Stream& stream);
  void BeginDue(int64_t now_ns);
  void ReadSlowly(int64_t now_ns);
  bool Finished(int64_t now_ns);

  const StreamLoadOptions options_;
  const TokenTimes& times_;
  const std::function<void()> on_held_;
  const int epoll_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> free_;  // with a rate
  int32_t num_busy_ = 0;       // ordinary streams that have an answer to come
  int32_t num_slow_ = 0;
  int32_t num_held_ = 0;  // that have their first event
  int64_t begin_ns_ = 0;
  int64_t held_ns_ = 0;
  int64_t next_slow_ns_ = 0;
  int64_t begun_ = 0;  // with a rate
  StreamLoadResult result_;
};

}  // namespace swiftlet
