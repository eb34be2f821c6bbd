#include "engine/grammar/grammar_cache.h"

#include <utility>

#include "engine/base/status_macros.h"

namespace swiftlet {

GrammarCache::GrammarCache(std::shared_ptr<const GrammarVocabulary> vocabulary, const GrammarLimits& limits,
                           size_t max_bytes)
    : vocabulary_(std::move(vocabulary)), limits_(limits), max_bytes_(max_bytes) {}

std::shared_ptr<TokenGrammar> GrammarCache::Find(const std::string& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->grammar;
}

// What grammars have learnt since they came is counted anew: an entry has at least some kilobytes, so there are few.
void GrammarCache::Evict() {
  size_t total = 0;
  for (const Entry& entry : entries_) total += BytesOf(entry);
  while (total > max_bytes_ && !entries_.empty()) {
    total -= BytesOf(entries_.back());
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

absl::StatusOr<std::shared_ptr<TokenGrammar>> GrammarCache::Get(const GrammarSpec& spec) {
  std::string key = spec.Key();
  {
    const std::lock_guard lock(mutex_);
    if (std::shared_ptr<TokenGrammar> known = Find(key); known != nullptr) return known;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const Grammar> grammar, CompileGrammar(spec, limits_));
  auto compiled = std::make_shared<TokenGrammar>(std::move(grammar), vocabulary_, limits_);
  const std::lock_guard lock(mutex_);
  if (std::shared_ptr<TokenGrammar> known = Find(key); known != nullptr) return known;  // another thread was faster
  entries_.push_front({key, compiled});
  by_key_[std::move(key)] = entries_.begin();
  Evict();
  return compiled;
}

size_t GrammarCache::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t total = 0;
  for (const Entry& entry : entries_) total += BytesOf(entry);
  return total;
}

size_t GrammarCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace swiftlet
