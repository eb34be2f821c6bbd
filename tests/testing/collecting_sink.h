// A sink that joins the outputs of its requests and checks their order as they come.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/runtime/generation_request.h"

namespace swiftlet::tests {

struct CollectedChoice {
  std::vector<int32_t> ids;  // without resumed ones
  int32_t first_index = -1;
  std::vector<PositionLogprobs> logprobs;
  std::vector<PositionLogprobs> prompt_logprobs;
  int32_t cached_tokens = -1;
  int32_t outputs = 0;
  FinishReason finish_reason = FinishReason::kNone;
  absl::Status status;
};

class CollectingSink final : public OutputSink {
 public:
  using Key = std::pair<uint64_t, int32_t>;  // tag, choice

  void OnStep(std::vector<SequenceOutput> outputs) override {
    std::lock_guard<std::mutex> lock(mutex_);
    std::map<Key, int> seen;
    for (SequenceOutput& output : outputs) {
      const Key key = {output.request, output.choice};
      CHECK(++seen[key] == 1) << "two outputs for one choice in one step";
      CollectedChoice& choice = choices_[key];
      CHECK(choice.finish_reason == FinishReason::kNone) << "an output after the finish of tag " << output.request;
      if (choice.outputs++ == 0) {
        choice.cached_tokens = output.cached_tokens;
      }
      if (!output.ids.empty()) {
        if (choice.first_index < 0) choice.first_index = output.first_index;
        CHECK(output.first_index == choice.first_index + static_cast<int32_t>(choice.ids.size()))
            << "index " << output.first_index << " after " << choice.ids.size();
      }
      choice.ids.insert(choice.ids.end(), output.ids.begin(), output.ids.end());
      for (PositionLogprobs& logprobs : output.logprobs) choice.logprobs.push_back(std::move(logprobs));
      if (!output.prompt_logprobs.empty()) {
        CHECK(output.prompt_logprobs_begin == 1 + static_cast<int32_t>(choice.prompt_logprobs.size()))
            << output.prompt_logprobs_begin;
      }
      for (PositionLogprobs& logprobs : output.prompt_logprobs) choice.prompt_logprobs.push_back(std::move(logprobs));
      choice.finish_reason = output.finish_reason;
      choice.status = output.status;
      finished_ += output.finish_reason != FinishReason::kNone;
      tokens_ += output.ids.size();
    }
    changed_.notify_all();
  }

  void WaitForFinishes(int32_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return finished_ >= count; });
  }
  void WaitForTokens(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return tokens_ >= count; });
  }
  std::map<Key, CollectedChoice> choices() {
    std::lock_guard<std::mutex> lock(mutex_);
    return choices_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, CollectedChoice> choices_;
  int32_t finished_ = 0;
  size_t tokens_ = 0;
};

}  // namespace swiftlet::tests
