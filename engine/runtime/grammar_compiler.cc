#include "engine/runtime/grammar_compiler.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/grammar/grammar_vocabulary.h"

namespace swiftlet {

GrammarCompiler::GrammarCompiler(const Options& options, int32_t logits_width)
    : options_(options), logits_width_(static_cast<size_t>(logits_width)), thread_([this] { Loop(); }) {}

GrammarCompiler::~GrammarCompiler() {
  Stop();
}

absl::Status GrammarCompiler::Compile(GrammarSpec spec, Done done) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return absl::UnavailableError("the worker is stopping");
    if (jobs_.size() >= static_cast<size_t>(options_.max_waiting)) {
      return absl::ResourceExhaustedError(
          absl::StrCat(jobs_.size(), " grammars wait to be compiled (--max-waiting-grammars)"));
    }
    jobs_.push_back({std::move(spec), std::move(done), Clock::now()});
  }
  changed_.notify_one();
  return absl::OkStatus();
}

void GrammarCompiler::OfferVocabulary(std::vector<std::string> tokens, std::vector<int32_t> end_ids) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (cache_ != nullptr || offer_.has_value()) return;
    offer_ = {std::move(tokens), std::move(end_ids)};
  }
  changed_.notify_one();
}

bool GrammarCompiler::has_vocabulary() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return cache_ != nullptr || offer_.has_value();
}

void GrammarCompiler::Stop() {
  std::lock_guard<std::mutex> stop_lock(stop_mutex_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

size_t GrammarCompiler::cache_bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return cache_ == nullptr ? 0 : cache_->bytes();
}

size_t GrammarCompiler::cached_grammars() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return cache_ == nullptr ? 0 : cache_->size();
}

uint64_t GrammarCompiler::num_requests() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return num_requests_;
}

// ---- the compiler's thread

void GrammarCompiler::TakeOffer(Offer offer) {
  auto vocabulary = GrammarVocabulary::Create(std::move(offer.tokens), logits_width_, std::move(offer.end_ids));
  std::shared_ptr<GrammarCache> cache;
  if (vocabulary.ok()) cache = std::make_shared<GrammarCache>(*vocabulary, options_.limits, options_.cache_bytes);
  std::deque<Job> refused;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    offer_.reset();
    cache_ = std::move(cache);
    if (!vocabulary.ok()) refused = std::exchange(jobs_, {});
  }
  for (const Job& job : refused) {
    job.done(absl::InternalError(absl::StrCat("the vocabulary cannot be used: ", vocabulary.status().message())));
  }
}

std::optional<GrammarCompiler::Job> GrammarCompiler::NextJob(absl::Status& late) {
  late = absl::OkStatus();
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (offer_.has_value() && !stopping_) {
      Offer offer = {std::move(offer_->tokens), std::move(offer_->end_ids)};  // offer_ keeps others away
      lock.unlock();
      TakeOffer(std::move(offer));
      lock.lock();
      continue;
    }
    if (!jobs_.empty()) {
      const Clock::time_point until = jobs_.front().submitted + options_.vocabulary_timeout;
      if (stopping_) {
        late = absl::UnavailableError("the worker is stopping");
      } else if (cache_ == nullptr && Clock::now() >= until) {
        late = absl::UnavailableError("the vocabulary that grammars need has not come");
      } else if (cache_ == nullptr) {
        changed_.wait_until(lock, until);
        continue;
      }
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      return job;
    }
    if (stopping_) return std::nullopt;
    changed_.wait(lock);
  }
}

void GrammarCompiler::Loop() {
  absl::Status late;
  while (const std::optional<Job> job = NextJob(late)) {
    if (!late.ok()) {
      job->done(late);
      continue;
    }
    std::shared_ptr<GrammarCache> cache;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      cache = cache_;
      ++num_requests_;
    }
    job->done(cache->Get(job->spec));
  }
}

}  // namespace swiftlet
