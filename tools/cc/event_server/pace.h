// When the tokens of the streams of a thread are due, each stream by a clock of its own: the first a while after the
// request, the others at steps, all drawn from a log-normal distribution. Answer n draws the same times whoever asks, so
// that two clients can be held against each other. One thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

namespace swiftlet {

struct PaceOptions {
  int64_t first_ns = 0;  // means
  int64_t step_ns = 0;
  double sigma = 0;  // of the logarithm of every time
};

class Pace {
 public:
  // `answers` numbers those of all threads.
  Pace(const PaceOptions& options, std::atomic<uint64_t>& answers) : options_(options), answers_(answers) {}

  void Begin(int stream, int64_t now_ns);
  void End(int stream) { draws_.erase(stream); }
  // When the next token of any stream is due.
  std::optional<int64_t> NextNs() const;
  // A stream that is due by now, whose next token is then scheduled.
  std::optional<int> Take(int64_t now_ns);

 private:
  struct Draws {
    uint64_t answer = 0;
    std::mt19937_64 random;
  };
  struct Due {
    int64_t at_ns = 0;
    int stream = 0;
    uint64_t answer = 0;
    bool operator>(const Due& other) const { return at_ns > other.at_ns; }
  };
  int64_t Drawn(std::mt19937_64& random, int64_t mean_ns) const;

  const PaceOptions options_;
  std::atomic<uint64_t>& answers_;
  std::unordered_map<int, Draws> draws_;  // of streams with an answer under way
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
};

}  // namespace swiftlet
