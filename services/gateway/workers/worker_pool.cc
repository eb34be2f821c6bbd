#include "services/gateway/workers/worker_pool.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <set>
#include <utility>

#include <boost/asio/post.hpp>

#include "engine/base/status_macros.h"
#include "services/common/attach_protocol.h"
#include "services/gateway/workers/worker_choice.h"

namespace swiftlet {
namespace {

bool Meets(const v1::ModelInfo& worker, const WorkerNeeds& needs) {
  return worker.name() == needs.model && worker.tokenizer_hash() == needs.tokenizer_hash &&
         worker.template_hash() == needs.template_hash && worker.logits_width() == needs.logits_width &&
         worker.max_model_len() >= needs.max_model_len &&
         (needs.equal_to == nullptr || worker.weights_hash() == needs.equal_to->model().weights_hash());
}

int32_t ProtocolFor(const v1::Submit& submit) {
  return submit.has_grammar() || submit.has_reasoning() ? attach_protocol::kWithGrammars : attach_protocol::kOldest;
}

// Drops the candidates that fail `test`, unless all do.
template <typename Test>
void Prefer(std::vector<WorkerLink*>& links, Test test) {
  if (std::any_of(links.begin(), links.end(), test))
    std::erase_if(links, [&](WorkerLink* link) { return !test(link); });
}

}  // namespace

WorkerPool::WorkerPool(const Options& options, Executor control, Clock& clock, WorkerTransport& transport,
                       ModelDirectory& directory)
    : options_(options), control_(std::move(control)), clock_(clock), transport_(transport), directory_(directory) {}

void WorkerPool::SetAddresses(std::vector<std::string> addresses) {
  boost::asio::post(control_, [this, addresses = std::move(addresses)] {
    const std::set<std::string> listed(addresses.begin(), addresses.end());
    const Lock lock(mutex_);
    for (const auto& [address, link] : links_) {
      if (!listed.contains(address)) link->Retire();
    }
    for (const std::string& address : listed) {
      std::shared_ptr<WorkerLink>& link = links_[address];
      if (link == nullptr) {
        WorkerLink::Options options = options_.link;
        options.jitter_seed += ++links_made_;
        options.find_model = [this](const std::string& name) { return directory_.Find(name); };
        link = std::make_shared<WorkerLink>(address, options, mutex_, control_, clock_, transport_,
                                            [this] { OnLinkChanged(); });
        link->Connect();
      } else if (link->retired()) {
        link->Connect();
      }
    }
    OnLinkChanged();
  });
}

// A link may change while it is in use on the stack above: what follows from it waits for the next turn.
void WorkerPool::OnLinkChanged() {
  if (publishing_) return;
  publishing_ = true;
  boost::asio::post(control_, [this] { Publish(); });
}

void WorkerPool::Publish() {
  std::vector<v1::ModelInfo> routable;
  {
    const Lock lock(mutex_);
    publishing_ = false;
    std::erase_if(links_, [](const auto& entry) { return entry.second->finished(); });
    for (const auto& [address, link] : links_) {
      if (link->routable()) routable.push_back(link->model());
    }
  }
  directory_.SetWorkers(std::move(routable));
}

absl::StatusOr<WorkerLink*> WorkerPool::Choose(const WorkOrder& order) const {
  const WorkerNeeds& needs = order.needs;
  const int32_t protocol = ProtocolFor(order.submit);
  std::vector<WorkerLink*> links;
  bool too_old = false;
  for (const auto& [address, link] : links_) {
    if (!link->routable() || !Meets(link->model(), needs)) continue;
    if (!needs.avoid_worker_id.empty() && link->worker_id() == needs.avoid_worker_id) continue;
    if (link->protocol() < protocol) {
      too_old = true;
      continue;
    }
    links.push_back(link.get());
  }
  if (links.empty()) {
    return absl::UnavailableError(absl::StrCat(
        "no worker that serves ", needs.model, " can be reached",
        too_old ? " but older ones, which know neither the form of an answer nor a bound on reasoning" : ""));
  }
  if (needs.equal_to != nullptr) {
    Prefer(links, [&](WorkerLink* link) {
      return link->model().numerics_fingerprint() == needs.equal_to->model().numerics_fingerprint();
    });
  }
  Prefer(links, [&](WorkerLink* link) { return link->HasCredit(order.submit.prompt_ids_size()); });
  std::vector<WorkerCandidate> candidates;
  for (const WorkerLink* link : links) candidates.push_back({link->address(), link->LoadTokens()});
  const auto& ids = order.submit.prompt_ids();
  const uint64_t hash = PrefixHash(order.submit.cache_salt(), {ids.data(), static_cast<size_t>(ids.size())});
  return links[ChooseWorker(candidates, hash, options_.spill_ratio)];
}

absl::StatusOr<std::shared_ptr<const v1::WorkerHello>> WorkerPool::Submit(WorkOrder order) {
  const Lock lock(mutex_);
  ASSIGN_OR_RETURN(WorkerLink* const link, Choose(order));
  if (link->Submit(std::move(order))) return link->worker();
  return absl::ResourceExhaustedError(absl::StrCat("the way to worker ", link->address(), " is full"));
}

void WorkerPool::Cancel(uint64_t request_id) {
  const Lock lock(mutex_);
  for (const auto& [address, link] : links_) {
    if (link->Cancel(request_id)) return;
  }
}

void WorkerPool::Stop() {
  boost::asio::post(control_, [this] {
    const Lock lock(mutex_);
    for (const auto& [address, link] : links_) link->Stop();
    links_.clear();
    OnLinkChanged();
  });
}

std::vector<WorkerPool::Outstanding> WorkerPool::ByWorker() const {
  const Lock lock(mutex_);
  std::vector<Outstanding> workers;
  for (const auto& [address, link] : links_) {
    if (link->attached()) workers.push_back({address, link->outstanding(), link->LoadTokens()});
  }
  return workers;
}

WorkerPool::Counts WorkerPool::counts() const {
  const Lock lock(mutex_);
  Counts counts = {.known = static_cast<int64_t>(links_.size())};
  for (const auto& [address, link] : links_) {
    counts.attached += link->attached() ? 1 : 0;
    counts.routable += link->routable() ? 1 : 0;
    counts.outstanding += link->outstanding();
  }
  return counts;
}

}  // namespace swiftlet
