#include "tools/cc/event_server/pace.h"

namespace swiftlet {

int64_t Pace::Drawn(std::mt19937_64& random, int64_t mean_ns) const {
  std::lognormal_distribution<double> factor(-options_.sigma * options_.sigma / 2, options_.sigma);
  return static_cast<int64_t>(static_cast<double>(mean_ns) * factor(random));
}

void Pace::Begin(int stream, int64_t now_ns) {
  const uint64_t answer = answers_.fetch_add(1);
  Draws& draws = draws_[stream] = {.answer = answer, .random = std::mt19937_64(answer)};
  due_.push({now_ns + Drawn(draws.random, options_.first_ns), stream, answer});
}

std::optional<int64_t> Pace::NextNs() const {
  return due_.empty() ? std::nullopt : std::optional(due_.top().at_ns);
}

std::optional<int> Pace::Take(int64_t now_ns) {
  while (!due_.empty() && due_.top().at_ns <= now_ns) {
    const Due due = due_.top();
    due_.pop();
    const auto found = draws_.find(due.stream);
    if (found == draws_.end() || found->second.answer != due.answer) continue;  // that answer has ended
    due_.push({due.at_ns + Drawn(found->second.random, options_.step_ns), due.stream, due.answer});
    return due.stream;
  }
  return std::nullopt;
}

}  // namespace swiftlet
