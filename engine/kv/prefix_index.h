// Which blocks of the pool hold the keys and values of which token prefix, so that equal prompts share them.
// Owned by the scheduler; the step thread alone calls it.
//
// A full block is found by a keyed hash chained from the salt: hash(block i) = H(hash(block i - 1), its 64 tokens).
// The hash only finds candidates: an entry is served when its 64 tokens and its parent entry (the salt, for the first
// block) are those asked for, so a collision costs a comparison and never serves foreign contents.
//
//   salt "a" ── [The quick brown ...] #1 ── [fox jumps ...] #2      entry #2 names #1 as its parent
//                                       └── [dog barks ...] #3
//
// A block whose last holder left stays indexed until the pool hands it out for something else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/kv/block_pool.h"
#include "engine/kv/keyed_hash.h"

namespace swiftlet {

class PrefixIndex {
 public:
  // A place in the tree of prefixes: what a further block is looked up or inserted under.
  struct Node {
    Hash128 hash;
    uint64_t entry = 0;  // serial number of the entry; 0 = the root of a salt
    bool valid = true;   // false: below a block that is not indexed; nothing can be inserted here
  };

  // `pool` must outlive the index. `hash_bits` < 128 makes collisions likely, for tests.
  PrefixIndex(BlockPool* pool, const HashKey& key, int hash_bits = 128);
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  Node Root(std::string_view salt) const;

  // The block that holds `tokens` (64 of them) after the prefix `node` stands for, or -1. On a hit `node` moves there.
  // `salt` is compared for the first block.
  int32_t Find(Node& node, std::string_view salt, std::span<const int32_t> tokens) const;

  // Says that the live block `id` now holds `tokens` after `node`, and moves `node` there. When an equal entry exists
  // it is kept and `id` stays unindexed.
  void Insert(Node& node, std::string_view salt, std::span<const int32_t> tokens, int32_t id);

  // Forgets what is known of block `id`, if anything: its contents turned out to be wrong.
  void Remove(int32_t id);

  size_t size() const { return by_hash_.size(); }

 private:
  struct Entry {
    uint64_t serial = 0;  // 0 = not indexed
    uint64_t parent = 0;
    Hash128 hash;
    std::string salt;  // of first blocks only
    std::vector<int32_t> tokens;
  };
  struct HashOfHash {
    size_t operator()(const Hash128& hash) const { return hash.low; }
  };

  Hash128 Extend(const Hash128& parent, std::span<const int32_t> tokens) const;
  Hash128 Truncate(Hash128 hash) const;
  int32_t FindEntry(const Hash128& hash, uint64_t parent, std::string_view salt, std::span<const int32_t> tokens) const;
  void Erase(int32_t id);

  BlockPool* const pool_;
  const HashKey key_;
  const int hash_bits_;
  uint64_t last_serial_ = 0;
  std::vector<Entry> entries_;  // by block id
  std::unordered_multimap<Hash128, int32_t, HashOfHash> by_hash_;
};

}  // namespace swiftlet
