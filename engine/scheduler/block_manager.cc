#include "engine/scheduler/block_manager.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/check.h"

namespace swiftlet {
namespace {

int32_t BlocksFor(int32_t num_positions) {
  return (num_positions + kBlockTokens - 1) / kBlockTokens;
}

std::array<int32_t, kBlockTokens> TokensOf(const Sequence& sequence, int32_t block) {
  std::array<int32_t, kBlockTokens> tokens;
  for (int32_t i = 0; i < kBlockTokens; ++i) tokens[i] = sequence.token(block * kBlockTokens + i);
  return tokens;
}

}  // namespace

BlockManager::BlockManager(int32_t num_blocks, bool enable_prefix_caching, const HashKey& hash_key, int hash_bits)
    : pool_(num_blocks), index_(&pool_, hash_key, hash_bits), enable_prefix_caching_(enable_prefix_caching) {}

BlockManager::Reuse BlockManager::FindIndexed(const Sequence& sequence, int32_t max_reused) {
  Reuse reuse;
  reuse.node = index_.Root(sequence.request->cache_salt);
  if (!enable_prefix_caching_) return reuse;
  const int32_t limit = std::min(max_reused, sequence.lengths.num_tokens - 1);
  const std::string& salt = sequence.request->cache_salt;
  for (int32_t block = 0; reuse.num_positions < limit; ++block) {
    if ((block + 1) * kBlockTokens > sequence.lengths.num_tokens) break;
    PrefixIndex::Node node = reuse.node;
    const int32_t id = index_.Find(node, salt, TokensOf(sequence, block));
    if (id < 0) break;
    if ((block + 1) * kBlockTokens <= limit) {
      reuse.shared.push_back(pool_.Acquire(id));
      reuse.num_positions += kBlockTokens;
      reuse.node = node;
    } else {
      // The block holds more than may be reused; it is copied, because the rest of it will be written again.
      reuse.copy_from = id;
      reuse.num_positions = limit;
    }
  }
  return reuse;
}

BlockManager::Reuse BlockManager::FindAtSibling(const Sequence& sequence, const Sequence& sibling, int32_t max_reused) {
  Reuse reuse;
  reuse.node = index_.Root(sequence.request->cache_salt);
  reuse.num_positions = std::min({max_reused, sequence.lengths.num_tokens - 1, sequence.prompt_size()});
  const int32_t num_shared = reuse.num_positions / kBlockTokens;
  for (int32_t block = 0; block < num_shared; ++block) reuse.shared.push_back(sibling.blocks[block].Share());
  if (reuse.num_positions % kBlockTokens != 0) reuse.copy_from = sibling.blocks[num_shared].id();
  return reuse;
}

bool BlockManager::Start(Sequence& sequence, const Sequence* sibling, int32_t max_reused, int32_t reserve_blocks,
                         std::vector<StepPlan::Copy>& copies) {
  CHECK(sequence.blocks.empty()) << "blocks " << sequence.blocks.size();
  const int32_t wanted = BlocksFor(sequence.lengths.num_tokens);
  Reuse reuse = FindIndexed(sequence, max_reused);
  if (sibling != nullptr && reuse.num_positions < std::min(max_reused, sequence.prompt_size()) - 1) {
    reuse = FindAtSibling(sequence, *sibling, max_reused);
  }
  if (pool_.num_available() < wanted - static_cast<int32_t>(reuse.shared.size()) + reserve_blocks) return false;

  // What came from a sibling is walked from the root by Index, which finds it there already.
  sequence.num_indexed = reuse.node.entry == 0 ? 0 : static_cast<int32_t>(reuse.shared.size());
  sequence.node = reuse.node;
  sequence.blocks = std::move(reuse.shared);
  if (reuse.copy_from >= 0) {
    // The source is not held: when it is the one evicted to make room, its contents are already where they belong,
    // and when another sequence gets it in this step, that one's writes come after this copy.
    sequence.blocks.push_back(*pool_.Allocate());
    const int32_t to = sequence.blocks.back().id();
    if (to != reuse.copy_from) copies.push_back({reuse.copy_from, to});
  }
  CHECK(Grow(sequence, sequence.lengths.num_tokens)) << "available " << pool_.num_available();
  sequence.lengths.num_computed = reuse.num_positions;
  sequence.num_applied = reuse.num_positions;
  sequence.lengths.Check();
  return true;
}

bool BlockManager::Fork(const Sequence& sequence, Sequence& fork, int32_t reserve_blocks,
                        std::vector<StepPlan::Copy>& copies) {
  CHECK(fork.blocks.empty()) << "blocks " << fork.blocks.size();
  const int32_t num_shared = fork.prompt_size() / kBlockTokens;
  const bool has_tail = fork.prompt_size() % kBlockTokens != 0;
  if (pool_.num_available() < has_tail + reserve_blocks) return false;
  for (int32_t block = 0; block < num_shared; ++block) fork.blocks.push_back(sequence.blocks[block].Share());
  if (has_tail) {
    fork.blocks.push_back(*pool_.Allocate());
    copies.push_back({sequence.blocks[num_shared].id(), fork.blocks.back().id()});
  }
  fork.node = index_.Root(fork.request->cache_salt);
  fork.num_indexed = 0;
  return true;
}

bool BlockManager::Grow(Sequence& sequence, int32_t num_positions) {
  while (static_cast<int32_t>(sequence.blocks.size()) < BlocksFor(num_positions)) {
    std::optional<BlockPool::Block> block = pool_.Allocate();
    if (!block) return false;
    sequence.blocks.push_back(*std::move(block));
  }
  return true;
}

void BlockManager::Index(Sequence& sequence) {
  if (!enable_prefix_caching_) return;
  const int32_t num_full = std::min(sequence.num_applied, sequence.num_known()) / kBlockTokens;
  for (; sequence.num_indexed < num_full; ++sequence.num_indexed) {
    index_.Insert(sequence.node, sequence.request->cache_salt, TokensOf(sequence, sequence.num_indexed),
                  sequence.blocks[sequence.num_indexed].id());
  }
}

void BlockManager::Forget(Sequence& sequence) {
  for (const BlockPool::Block& block : sequence.blocks) index_.Remove(block.id());
}

void BlockManager::Release(Sequence& sequence) {
  while (!sequence.blocks.empty()) sequence.blocks.pop_back();
  sequence.num_indexed = 0;
  sequence.num_applied = 0;
}

}  // namespace swiftlet
