#include "services/gateway/tokenizers/tokenizer_pool.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <set>
#include <utility>

#include <boost/asio/post.hpp>

#include "services/common/errors.h"

namespace swiftlet {

TokenizerPool::TokenizerPool(const Options& options, Executor control, Clock& clock, TokenizerConnector& connector,
                             ModelDirectory& directory)
    : options_(options), control_(std::move(control)), clock_(clock), connector_(connector), directory_(directory) {}

void TokenizerPool::SetAddresses(std::vector<std::string> addresses) {
  boost::asio::post(control_, [this, addresses = std::move(addresses)] {
    const std::set<std::string> listed(addresses.begin(), addresses.end());
    std::vector<std::shared_ptr<Tokenizer>> gone;  // their calls go on without them
    std::vector<std::shared_ptr<Tokenizer>> added;
    {
      const Lock lock(mutex_);
      for (auto entry = tokenizers_.begin(); entry != tokenizers_.end();) {
        if (listed.contains(entry->first)) {
          ++entry;
          continue;
        }
        probing_.erase(entry->first);
        gone.push_back(std::move(entry->second));
        entry = tokenizers_.erase(entry);
      }
      for (const std::string& address : listed) {
        std::shared_ptr<Tokenizer>& tokenizer = tokenizers_[address];
        if (tokenizer != nullptr) continue;
        tokenizer = std::make_shared<Tokenizer>();
        tokenizer->address = address;
        tokenizer->client = connector_.Connect(address);
        probing_[address].backoff_us = options_.shortest_backoff_us;
        added.push_back(tokenizer);
      }
    }
    for (const auto& tokenizer : added) Probe(tokenizer);
    Publish();
  });
}

bool TokenizerPool::IsListed(const std::shared_ptr<Tokenizer>& tokenizer) const {
  const auto known = tokenizers_.find(tokenizer->address);
  return known != tokenizers_.end() && known->second == tokenizer;
}

void TokenizerPool::Probe(const std::shared_ptr<Tokenizer>& tokenizer) {
  tokenizer->client->GetInfo(options_.probe_timeout_us, [this, weak = std::weak_ptr<Tokenizer>(tokenizer)](
                                                            absl::StatusOr<v1::GetInfoResponse> info) {
    boost::asio::post(control_, [this, weak, info = std::move(info)]() mutable {
      if (const auto alive = weak.lock()) OnInfo(alive, std::move(info));
    });
  });
}

void TokenizerPool::OnInfo(const std::shared_ptr<Tokenizer>& tokenizer, absl::StatusOr<v1::GetInfoResponse> info) {
  if (!IsListed(tokenizer)) return;
  Probing& probing = probing_[tokenizer->address];
  int64_t next_us = options_.probe_us;
  bool changed = tokenizer->healthy != info.ok();
  if (info.ok()) {
    probing.backoff_us = options_.shortest_backoff_us;
    changed = changed || info->SerializeAsString() != tokenizer->info.SerializeAsString();
    {
      const Lock lock(mutex_);
      tokenizer->healthy = true;
      tokenizer->info = *std::move(info);
    }
    for (const v1::TokenizedModel& model : tokenizer->info.models()) FetchVocabulary(tokenizer, model);
  } else {
    {
      const Lock lock(mutex_);
      tokenizer->healthy = false;
    }
    next_us = probing.backoff_us;
    probing.backoff_us = std::min(2 * probing.backoff_us, options_.longest_backoff_us);
  }
  probing.timer = clock_.After(control_, next_us, [this, weak = std::weak_ptr<Tokenizer>(tokenizer)] {
    if (const auto alive = weak.lock()) Probe(alive);
  });
  if (changed) Publish();
}

void TokenizerPool::FetchVocabulary(const std::shared_ptr<Tokenizer>& tokenizer, const v1::TokenizedModel& model) {
  const std::string& hash = model.tokenizer_hash();
  if (!vocabularies_.emplace(hash, nullptr).second) return;  // there, or on its way
  tokenizer->client->GetVocabulary(
      model.name(), options_.vocabulary_timeout_us,
      [this, hash, size = model.vocabulary_size()](absl::StatusOr<std::shared_ptr<const Vocabulary>> vocabulary) {
        boost::asio::post(control_, [this, hash, size, vocabulary = std::move(vocabulary)] {
          if (vocabulary.ok() && (*vocabulary)->size() == size) {
            vocabularies_[hash] = *vocabulary;
            Publish();
          } else {
            vocabularies_.erase(hash);  // the next probe asks again
          }
        });
      });
}

void TokenizerPool::Publish() {
  std::vector<ModelDirectory::TokenizerView> views;
  for (const auto& [address, tokenizer] : tokenizers_) {
    if (!tokenizer->healthy) continue;
    for (const v1::TokenizedModel& model : tokenizer->info.models()) {
      const auto vocabulary = vocabularies_.find(model.tokenizer_hash());
      views.push_back({model, vocabulary == vocabularies_.end() ? nullptr : vocabulary->second});
    }
  }
  directory_.SetTokenizers(std::move(views));
}

std::shared_ptr<TokenizerPool::Tokenizer> TokenizerPool::Choose(const EncodeOrder& order,
                                                                const std::string& except) const {
  std::shared_ptr<Tokenizer> best;
  for (const auto& [address, tokenizer] : tokenizers_) {
    if (!tokenizer->healthy || address == except) continue;
    const auto& models = tokenizer->info.models();
    const bool serves = std::any_of(models.begin(), models.end(), [&](const v1::TokenizedModel& model) {
      return model.name() == order.model && model.tokenizer_hash() == order.tokenizer_hash &&
             model.template_hash() == order.template_hash;
    });
    if (serves && (best == nullptr || *tokenizer->load < *best->load)) best = tokenizer;
  }
  return best;
}

uint64_t TokenizerPool::Encode(EncodeOrder order) {
  const auto kept = std::make_shared<EncodeOrder>(std::move(order));
  Lock lock(mutex_);
  const uint64_t ticket = next_ticket_++;
  Pending& pending = pending_[ticket];
  pending.deadline_us = clock_.NowUs() + kept->timeout_us;
  pending.order = kept;
  if (pending.deadline_us < expiry_us_) {
    expiry_us_ = pending.deadline_us;
    boost::asio::post(control_, [this] { ExpireDue(); });
  }
  Dispatch(std::move(lock), ticket, "");
  return ticket;
}

void TokenizerPool::Dispatch(Lock lock, uint64_t ticket, const std::string& except) {
  const auto found = pending_.find(ticket);
  Pending& pending = found->second;
  const std::shared_ptr<Tokenizer> tokenizer = Choose(*pending.order, except);
  if (tokenizer == nullptr) {
    return Finish(std::move(lock), found,
                  WithRetryAfter(absl::UnavailableError("no tokenizer that serves the model can be reached"),
                                 options_.longest_backoff_us / 1000));
  }
  const int64_t timeout_us = pending.deadline_us - clock_.NowUs();
  if (timeout_us <= 0) {
    return Finish(std::move(lock), found, absl::DeadlineExceededError("the deadline passed before encoding"));
  }
  pending.tokenizer = tokenizer;
  pending.address = tokenizer->address;
  pending.load = tokenizer->load;
  ++*pending.load;
  const std::shared_ptr<EncodeOrder> order = pending.order;
  lock.unlock();
  v1::EncodeRequest request = order->request;
  request.set_call_id(ticket);
  request.set_timeout_us(timeout_us);
  tokenizer->client->Encode(std::move(request), [this, ticket](absl::StatusOr<EncodedPrompt> prompt) {
    OnEncoded(ticket, std::move(prompt));
  });
}

void TokenizerPool::OnEncoded(uint64_t ticket, absl::StatusOr<EncodedPrompt> prompt) {
  Lock lock(mutex_);
  const auto found = pending_.find(ticket);
  if (found == pending_.end()) return;  // cancelled
  if (!absl::IsUnavailable(prompt.status())) return Finish(std::move(lock), found, std::move(prompt));
  --*std::exchange(found->second.load, nullptr);
  boost::asio::post(control_, [this, ticket, tokenizer = found->second.tokenizer, status = std::move(prompt).status()] {
    OnLost(ticket, tokenizer, status);
  });
}

void TokenizerPool::OnLost(uint64_t ticket, const std::weak_ptr<Tokenizer>& weak, const absl::Status& status) {
  if (const auto tokenizer = weak.lock(); tokenizer != nullptr && tokenizer->healthy && IsListed(tokenizer)) {
    {
      const Lock lock(mutex_);
      tokenizer->healthy = false;  // until a probe says otherwise
    }
    Publish();
    probing_[tokenizer->address].timer.reset();
    Probe(tokenizer);
  }
  Lock lock(mutex_);
  const auto found = pending_.find(ticket);
  if (found == pending_.end()) return;  // cancelled meanwhile
  Pending& pending = found->second;
  const std::string failed = pending.address;
  if (pending.retried || Choose(*pending.order, failed) == nullptr) {
    return Finish(std::move(lock), found, WithRetryAfter(status, options_.longest_backoff_us / 1000));
  }
  pending.retried = true;
  Dispatch(std::move(lock), ticket, failed);
}

void TokenizerPool::Finish(Lock lock, PendingOrders::iterator found, absl::StatusOr<EncodedPrompt> prompt) {
  Pending pending = std::move(found->second);  // its texts are not destroyed under the lock
  pending_.erase(found);
  if (pending.load != nullptr) --*pending.load;
  lock.unlock();
  boost::asio::post(pending.order->home, [done = std::move(pending.order->done), prompt = std::move(prompt)]() mutable {
    done(std::move(prompt));
  });
}

void TokenizerPool::Cancel(uint64_t ticket) {
  Lock lock(mutex_);
  const auto found = pending_.find(ticket);
  if (found == pending_.end()) return;
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  if (pending.load == nullptr) return;
  --*pending.load;
  lock.unlock();
  if (const auto tokenizer = pending.tokenizer.lock()) tokenizer->client->CancelEncode(ticket);
}

void TokenizerPool::ExpireDue() {
  std::vector<std::pair<uint64_t, std::weak_ptr<Tokenizer>>> late;
  const int64_t now_us = clock_.NowUs();
  {
    const Lock lock(mutex_);
    expiry_us_ = INT64_MAX;
    for (const auto& [ticket, pending] : pending_) {
      if (pending.deadline_us <= now_us) {
        late.emplace_back(ticket, pending.tokenizer);
      } else {
        expiry_us_ = std::min(expiry_us_, pending.deadline_us);
      }
    }
    expiry_.reset();
    if (expiry_us_ != INT64_MAX) expiry_ = clock_.After(control_, expiry_us_ - now_us, [this] { ExpireDue(); });
  }
  for (const auto& [ticket, weak] : late) {
    if (const auto tokenizer = weak.lock()) tokenizer->client->CancelEncode(ticket);
    Lock lock(mutex_);
    const auto found = pending_.find(ticket);
    if (found == pending_.end()) continue;
    Finish(std::move(lock), found, absl::DeadlineExceededError("the tokenizer did not answer in time"));
  }
}

void TokenizerPool::Stop() {
  boost::asio::post(control_, [this] {
    std::map<std::string, std::shared_ptr<Tokenizer>> tokenizers;  // not destroyed under the lock
    Lock lock(mutex_);
    tokenizers.swap(tokenizers_);
    while (!pending_.empty()) {
      Finish(std::move(lock), pending_.begin(), absl::UnavailableError("the gateway is shutting down"));
      lock = Lock(mutex_);
    }
    lock.unlock();
    probing_.clear();
    expiry_.reset();
    Publish();
  });
}

TokenizerPool::Counts TokenizerPool::counts() const {
  const Lock lock(mutex_);
  Counts counts = {.known = static_cast<int64_t>(tokenizers_.size()), .pending = static_cast<int64_t>(pending_.size())};
  for (const auto& [address, tokenizer] : tokenizers_) counts.healthy += tokenizer->healthy ? 1 : 0;
  return counts;
}

}  // namespace swiftlet
