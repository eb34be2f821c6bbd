// Compiles grammars on a thread of its own, one after the other, and keeps them in a cache. Bounded: how many requests
// wait, how long for the vocabulary, how much the cache holds; a grammar's own time and memory by GrammarLimits. Owned
// by the model worker's main, or by a tool.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/grammar/compile_grammar.h"
#include "engine/grammar/grammar_cache.h"
#include "engine/grammar/token_grammar.h"

namespace swiftlet {

class GrammarCompiler {
 public:
  struct Options {
    size_t cache_bytes = 128 << 20;
    int32_t max_waiting = 256;
    std::chrono::milliseconds vocabulary_timeout{20'000};  // from a grammar's submission
    GrammarLimits limits;
  };
  using Done = std::function<void(absl::StatusOr<std::shared_ptr<TokenGrammar>>)>;

  // `logits_width`: of the masks.
  GrammarCompiler(const Options& options, int32_t logits_width);
  ~GrammarCompiler();

  // Any thread. `done` comes once, on the compiler's thread: INVALID_ARGUMENT names keyword and path, or the limit;
  // UNAVAILABLE when no vocabulary came in time, or after Stop. RESOURCE_EXHAUSTED at once: too many wait already.
  absl::Status Compile(GrammarSpec spec, Done done);
  // Any thread. The vocabulary's bytes by id, and the ids that end a sequence; the first that can be used stays.
  void OfferVocabulary(std::vector<std::string> tokens, std::vector<int32_t> end_ids);
  bool has_vocabulary() const;
  // Any thread; joins. What waits ends UNAVAILABLE, and so does all that comes later.
  void Stop();

  // Any thread.
  size_t cache_bytes() const;
  size_t cached_grammars() const;
  uint64_t num_requests() const;  // answered since start, those refused included

 private:
  using Clock = std::chrono::steady_clock;
  struct Job {
    GrammarSpec spec;
    Done done;
    Clock::time_point submitted;
  };
  struct Offer {
    std::vector<std::string> tokens;
    std::vector<int32_t> end_ids;
  };

  void Loop();
  void TakeOffer(Offer offer);
  // The next job that can be answered, with the answer when it is too late for it; nothing when stopping.
  std::optional<Job> NextJob(absl::Status& late);

  const Options options_;
  const size_t logits_width_;
  std::mutex stop_mutex_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // in order of submission
  std::optional<Offer> offer_;
  std::shared_ptr<GrammarCache> cache_;  // null before the vocabulary has come
  uint64_t num_requests_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace swiftlet
