// Which blocks a sequence holds: reuse of computed prefixes at its start, growth, indexing of what was computed,
// release. Part of the scheduler: step thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv/block_pool.h"
#include "engine/kv/prefix_index.h"
#include "engine/scheduler/sequence.h"
#include "engine/scheduler/step_plan.h"

namespace swiftlet {

class BlockManager {
 public:
  BlockManager(int32_t num_blocks, bool enable_prefix_caching, const HashKey& hash_key, int hash_bits);

  // Gives `sequence`, which holds none, the blocks of all its tokens, sharing and copying what is computed already:
  // prefixes in the index, or the prompt of `sibling` (may be null) whose results have come back. Sets num_computed.
  // At most `max_reused` positions are reused, and never the last token: its logits are needed.
  // False, and nothing changed, unless `reserve_blocks` stay available.
  bool Start(Sequence& sequence, const Sequence* sibling, int32_t max_reused, int32_t reserve_blocks,
             std::vector<StepPlan::Copy>& copies);

  // Gives `fork`, which holds none, the prompt of `sequence`, which this step completes: full blocks shared, the tail
  // copied after the step. False, and nothing changed, unless `reserve_blocks` stay available.
  bool Fork(const Sequence& sequence, Sequence& fork, int32_t reserve_blocks, std::vector<StepPlan::Copy>& copies);

  // Makes the blocks of `sequence` cover `num_positions`. False when the pool is empty.
  bool Grow(Sequence& sequence, int32_t num_positions);

  // Indexes the full blocks whose computation has come back and whose ids are known.
  void Index(Sequence& sequence);
  // Removes all blocks of `sequence` from the index: their contents are not to be trusted.
  void Forget(Sequence& sequence);
  // Gives all blocks back, tail first, so that the shared heads of prompts are evicted last.
  void Release(Sequence& sequence);

  const BlockPool& pool() const { return pool_; }

 private:
  struct Reuse {
    std::vector<BlockPool::Block> shared;
    int32_t copy_from = -1;  // block whose first positions are wanted, at index shared.size()
    int32_t num_positions = 0;
    PrefixIndex::Node node;
  };
  Reuse FindIndexed(const Sequence& sequence, int32_t max_reused);
  Reuse FindAtSibling(const Sequence& sequence, const Sequence& sibling, int32_t max_reused);

  BlockPool pool_;
  PrefixIndex index_;
  const bool enable_prefix_caching_;
};

}  // namespace swiftlet
