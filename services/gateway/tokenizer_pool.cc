#include "services/gateway/tokenizer_pool.h"

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
    // A call that is under way keeps its client alive by itself.
    std::erase_if(tokenizers_, [&](const auto& entry) { return !listed.contains(entry.first); });
    for (const std::string& address : listed) {
      std::shared_ptr<Tokenizer>& tokenizer = tokenizers_[address];
      if (tokenizer != nullptr) continue;
      tokenizer = std::make_shared<Tokenizer>();
      tokenizer->address = address;
      tokenizer->client = connector_.Connect(address);
      tokenizer->backoff_us = options_.shortest_backoff_us;
      Probe(tokenizer);
    }
    Publish();
  });
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
  const bool was_healthy = tokenizer->healthy;
  tokenizer->healthy = info.ok();
  int64_t next_us = options_.probe_us;
  bool changed = was_healthy != tokenizer->healthy;
  if (info.ok()) {
    tokenizer->backoff_us = options_.shortest_backoff_us;
    changed = changed || info->SerializeAsString() != tokenizer->info.SerializeAsString();
    tokenizer->info = *std::move(info);
    for (const v1::TokenizedModel& model : tokenizer->info.models()) FetchVocabulary(tokenizer, model);
  } else {
    next_us = tokenizer->backoff_us;
    tokenizer->backoff_us = std::min(2 * tokenizer->backoff_us, options_.longest_backoff_us);
  }
  tokenizer->timer = clock_.After(control_, next_us, [this, weak = std::weak_ptr<Tokenizer>(tokenizer)] {
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
  int64_t healthy = 0;
  for (const auto& [address, tokenizer] : tokenizers_) {
    if (!tokenizer->healthy) continue;
    ++healthy;
    for (const v1::TokenizedModel& model : tokenizer->info.models()) {
      const auto vocabulary = vocabularies_.find(model.tokenizer_hash());
      views.push_back({model, vocabulary == vocabularies_.end() ? nullptr : vocabulary->second});
    }
  }
  known_ = static_cast<int64_t>(tokenizers_.size());
  healthy_ = healthy;
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
    if (serves && (best == nullptr || tokenizer->pending < best->pending)) best = tokenizer;
  }
  return best;
}

uint64_t TokenizerPool::Encode(EncodeOrder order) {
  const uint64_t ticket = next_ticket_++;
  const int64_t deadline_us = clock_.NowUs() + order.timeout_us;
  boost::asio::post(control_, [this, ticket, deadline_us, order = std::move(order)]() mutable {
    Pending& pending = pending_[ticket];
    pending.order = std::move(order);
    pending.deadline_us = deadline_us;
    num_pending_ = static_cast<int64_t>(pending_.size());
    Dispatch(ticket, "");
  });
  return ticket;
}

void TokenizerPool::Dispatch(uint64_t ticket, const std::string& except) {
  Pending& pending = pending_.at(ticket);
  const std::shared_ptr<Tokenizer> tokenizer = Choose(pending.order, except);
  if (tokenizer == nullptr) {
    return Finish(ticket, WithRetryAfter(absl::UnavailableError("no tokenizer that serves the model can be reached"),
                                         options_.longest_backoff_us / 1000));
  }
  const int64_t timeout_us = pending.deadline_us - clock_.NowUs();
  if (timeout_us <= 0) return Finish(ticket, absl::DeadlineExceededError("the deadline passed before encoding"));
  pending.tokenizer = tokenizer;
  pending.address = tokenizer->address;
  ++tokenizer->pending;
  auto done = [this, ticket](absl::StatusOr<EncodedPrompt> prompt) {
    boost::asio::post(control_,
                      [this, ticket, prompt = std::move(prompt)]() mutable { OnEncoded(ticket, std::move(prompt)); });
  };
  if (const auto* chat = std::get_if<v1::EncodeChatRequest>(&pending.order.request)) {
    pending.call = tokenizer->client->EncodeChat(*chat, timeout_us, std::move(done));
  } else {
    const auto& prompt = std::get<v1::EncodePromptRequest>(pending.order.request);
    pending.call = tokenizer->client->EncodePrompt(prompt, timeout_us, std::move(done));
  }
}

void TokenizerPool::OnEncoded(uint64_t ticket, absl::StatusOr<EncodedPrompt> prompt) {
  const auto found = pending_.find(ticket);
  if (found == pending_.end()) return;  // cancelled
  Pending& pending = found->second;
  const std::shared_ptr<Tokenizer> tokenizer = pending.tokenizer.lock();
  if (tokenizer != nullptr) --tokenizer->pending;
  pending.tokenizer.reset();
  if (!absl::IsUnavailable(prompt.status())) return Finish(ticket, std::move(prompt));
  if (tokenizer != nullptr && tokenizer->healthy) {
    tokenizer->healthy = false;  // until a probe says otherwise
    Publish();
    tokenizer->timer.reset();
    Probe(tokenizer);
  }
  const std::string failed = pending.address;
  if (pending.retried || Choose(pending.order, failed) == nullptr) {
    return Finish(ticket, WithRetryAfter(std::move(prompt).status(), options_.longest_backoff_us / 1000));
  }
  pending.retried = true;
  Dispatch(ticket, failed);
}

void TokenizerPool::Finish(uint64_t ticket, absl::StatusOr<EncodedPrompt> prompt) {
  const auto found = pending_.find(ticket);
  const Executor home = found->second.order.home;
  boost::asio::post(home, [done = std::move(found->second.order.done), prompt = std::move(prompt)]() mutable {
    done(std::move(prompt));
  });
  pending_.erase(found);
  num_pending_ = static_cast<int64_t>(pending_.size());
}

void TokenizerPool::Cancel(uint64_t ticket) {
  boost::asio::post(control_, [this, ticket] {
    const auto found = pending_.find(ticket);
    if (found == pending_.end()) return;
    if (const auto tokenizer = found->second.tokenizer.lock()) --tokenizer->pending;
    if (found->second.call != nullptr) found->second.call->Cancel();
    pending_.erase(found);
    num_pending_ = static_cast<int64_t>(pending_.size());
  });
}

void TokenizerPool::Stop() {
  boost::asio::post(control_, [this] {
    std::vector<uint64_t> tickets;
    for (const auto& [ticket, pending] : pending_) tickets.push_back(ticket);
    for (const uint64_t ticket : tickets) Finish(ticket, absl::UnavailableError("the gateway is shutting down"));
    tokenizers_.clear();
    Publish();
  });
}

TokenizerPool::Counts TokenizerPool::counts() const {
  return {known_, healthy_, num_pending_};
}

}  // namespace swiftlet
