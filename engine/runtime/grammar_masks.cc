#include "engine/runtime/grammar_masks.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace swiftlet {

GrammarMasks::GrammarMasks(std::function<void()> wake) : wake_(std::move(wake)), thread_([this] { Loop(); }) {}

GrammarMasks::~GrammarMasks() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  asked_.notify_one();
  thread_.join();
}

// ---- step thread

void GrammarMasks::Post(Job job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  asked_.notify_one();
}

void GrammarMasks::Begin(uint64_t request, std::shared_ptr<const GenerationRequest> parameters,
                         std::shared_ptr<TokenGrammar> grammar) {
  Post({.request = request, .begun = std::move(parameters), .grammar = std::move(grammar)});
}

void GrammarMasks::Take(uint64_t request, int32_t choice, int32_t id) {
  Post({.request = request, .begun = nullptr, .choice = choice, .id = id});
}

void GrammarMasks::End(uint64_t request) {
  Post({.request = request, .begun = nullptr, .choice = -1});
}

std::vector<GrammarMasks::Result> GrammarMasks::TakeResults() {
  std::lock_guard<std::mutex> lock(mutex_);
  woken_ = false;
  return std::exchange(results_, {});
}

void GrammarMasks::WaitBriefly(std::chrono::microseconds at_most) {
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait_for(lock, at_most, [this] { return jobs_.empty() && !busy_; });
}

// ---- the masks' thread

void GrammarMasks::Loop() {
  std::vector<Result> results;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    results.clear();
    Run(job, results);
    lock.lock();
    busy_ = false;
    std::move(results.begin(), results.end(), std::back_inserter(results_));
    const bool wake = !results_.empty() && !std::exchange(woken_, true);
    if (jobs_.empty()) done_.notify_one();
    if (!wake) continue;
    lock.unlock();
    wake_();
    lock.lock();
  }
}

void GrammarMasks::Run(const Job& job, std::vector<Result>& results) {
  if (job.begun != nullptr) {
    Request& request = requests_[job.request];
    request.parameters = job.begun;
    const Matcher start(job.grammar);
    for (int32_t index = 0; index < job.begun->num_choices; ++index) {
      Choice& choice = request.choices.emplace_back(Choice{start});
      absl::Status status;
      if (!job.begun->resumed_ids.empty()) {
        for (const int32_t id : job.begun->resumed_ids[index]) {
          ++choice.num_generated;
          if (choice.matcher.Accept(id)) continue;
          status = absl::InvalidArgumentError(absl::StrCat("resumed_ids[", index, "][", choice.num_generated - 1,
                                                           "] is ", id, ", which the grammar does not allow"));
          break;
        }
      }
      results.push_back(status.ok() ? Find(request, job.request, index, choice)
                                    : Result{job.request, index, nullptr, std::move(status)});
    }
    return;
  }
  if (job.choice < 0) {
    requests_.erase(job.request);
    return;
  }
  Request& request = requests_.at(job.request);
  Choice& choice = request.choices[job.choice];
  ++choice.num_generated;
  if (choice.matcher.Accept(job.id)) {
    results.push_back(Find(request, job.request, job.choice, choice));
  } else {
    results.push_back({job.request, job.choice, nullptr,
                       absl::InternalError(absl::StrCat("token ", job.id, " is not what the grammar allows"))});
  }
}

// Before min_tokens stop tokens are left out, unless nothing else can come: a text that is whole ends.
GrammarMasks::Result GrammarMasks::Find(const Request& request, uint64_t number, int32_t index, Choice& choice) const {
  absl::StatusOr<Mask> mask = choice.matcher.FindMask();
  if (!mask.ok()) return {number, index, nullptr, mask.status()};
  if (choice.num_generated >= request.parameters->min_tokens) return {number, index, *std::move(mask), {}};
  std::vector<uint64_t> words = **mask;
  for (const int32_t id : request.parameters->stop_token_ids) {
    words[static_cast<size_t>(id) / 64] &= ~(uint64_t{1} << (id % 64));
  }
  const bool any = std::any_of(words.begin(), words.end(), [](uint64_t word) { return word != 0; });
  if (any) *mask = std::make_shared<const std::vector<uint64_t>>(std::move(words));
  return {number, index, *std::move(mask), {}};
}

}  // namespace swiftlet
