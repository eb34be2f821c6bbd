// Compiled grammars by their exact text, least recently used first out. Any thread; the lock is never held while
// something is compiled.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "engine/grammar/compile_grammar.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/token_grammar.h"
#include "engine/grammar/grammar_vocabulary.h"

namespace swiftlet {

class GrammarCache {
 public:
  // Holds at most `max_bytes`, what its grammars have learnt since included; those in use elsewhere live on there.
  GrammarCache(std::shared_ptr<const GrammarVocabulary> vocabulary, const GrammarLimits& limits, size_t max_bytes);

  // The grammar of `spec`, compiled now when it is not here. Errors are not kept.
  absl::StatusOr<std::shared_ptr<TokenGrammar>> Get(const GrammarSpec& spec);

  size_t bytes() const;
  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<TokenGrammar> grammar;
  };
  using Entries = std::list<Entry>;

  static size_t BytesOf(const Entry& entry) { return entry.grammar->bytes() + 2 * entry.key.size() + 256; }
  std::shared_ptr<TokenGrammar> Find(const std::string& key);  // with the lock held
  void Evict();                                                // likewise

  const std::shared_ptr<const GrammarVocabulary> vocabulary_;
  const GrammarLimits limits_;
  const size_t max_bytes_;
  mutable std::mutex mutex_;
  Entries entries_;  // the most recently used first
  absl::flat_hash_map<std::string, Entries::iterator> by_key_;
};

}  // namespace swiftlet
