#include "engine/kv/block_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace swiftlet {
namespace {

TEST(BlockPool, HandsOutEveryBlockOnce) {
  BlockPool pool(5);
  std::vector<BlockPool::Block> held;
  std::set<int32_t> ids;
  while (auto block = pool.Allocate()) {
    ids.insert(block->id());
    held.push_back(*std::move(block));
  }
  EXPECT_EQ(ids.size(), 5u);
  EXPECT_EQ(pool.num_live(), 5);
  EXPECT_EQ(pool.num_available(), 0);
}

TEST(BlockPool, LastReleaseReturnsBlock) {
  BlockPool pool(1);
  auto first = pool.Allocate();
  {
    const BlockPool::Block second = first->Share();
    first.reset();
    EXPECT_EQ(pool.num_live(), 1);
    EXPECT_FALSE(pool.Allocate().has_value());
  }
  EXPECT_EQ(pool.num_live(), 0);
}

TEST(BlockPool, MovedHandleReleasesNothing) {
  BlockPool pool(2);
  auto first = pool.Allocate();
  BlockPool::Block second = *std::move(first);
  first.reset();
  EXPECT_EQ(pool.num_live(), 1);
  second = *pool.Allocate();  // the block it held goes back
  EXPECT_EQ(pool.num_live(), 1);
}

TEST(BlockPool, CachedBlocksAreHandedOutLastAndInOrderOfTheirRelease) {
  BlockPool pool(4);
  std::vector<int32_t> evicted;
  pool.SetEvictionListener([&](int32_t id) { evicted.push_back(id); });
  std::vector<BlockPool::Block> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(*pool.Allocate());
  for (const int i : {0, 1, 2}) pool.SetCached(blocks[i].id(), true);
  const int32_t a = blocks[0].id(), b = blocks[1].id(), c = blocks[2].id(), free = blocks[3].id();
  std::swap(blocks[0], blocks[3]);
  while (!blocks.empty()) blocks.pop_back();  // a, c, b, free
  EXPECT_EQ(pool.num_cached(), 3);

  BlockPool::Block kept = pool.Acquire(c);  // used again: now the most recent
  EXPECT_EQ(pool.num_live(), 1);
  kept = *pool.Allocate();
  EXPECT_EQ(kept.id(), free);
  std::vector<BlockPool::Block> rest;
  while (auto block = pool.Allocate()) rest.push_back(*std::move(block));
  EXPECT_EQ(evicted, (std::vector<int32_t>{a, b, c}));
}

TEST(BlockPool, RandomHistoryConservesBlocks) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    BlockPool pool(1 + static_cast<int32_t>(random() % 12));
    std::set<int32_t> cached;
    pool.SetEvictionListener([&](int32_t id) { EXPECT_EQ(cached.erase(id), 1u); });
    std::vector<BlockPool::Block> held;
    for (int step = 0; step < 500; ++step) {
      const auto pick = [&]() -> BlockPool::Block& { return held[random() % held.size()]; };
      switch (random() % 5) {
        case 0:
        case 1:
          if (auto block = pool.Allocate()) {
            for (const BlockPool::Block& other : held) ASSERT_NE(other.id(), block->id());
            ASSERT_EQ(cached.count(block->id()), 0u);
            held.push_back(*std::move(block));
          } else {
            ASSERT_EQ(pool.num_available(), 0);
          }
          break;
        case 2:
          if (!held.empty()) {
            std::swap(pick(), held.back());
            held.pop_back();
          }
          break;
        case 3:
          if (!held.empty()) {
            auto shared = pick().Share();
            held.push_back(std::move(shared));
          }
          break;
        case 4:
          if (!held.empty()) {
            const int32_t id = pick().id();
            const bool mark = random() % 2 == 0;
            pool.SetCached(id, mark);
            mark ? (void)cached.insert(id) : (void)cached.erase(id);
          } else if (!cached.empty()) {
            held.push_back(pool.Acquire(*cached.begin()));
          }
          break;
      }
      pool.CheckIntegrity();
      std::set<int32_t> live;
      for (const BlockPool::Block& block : held) live.insert(block.id());
      ASSERT_EQ(pool.num_live(), static_cast<int32_t>(live.size()));
    }
    held.clear();
    ASSERT_EQ(pool.num_available(), pool.num_total());
    ASSERT_EQ(pool.num_cached(), static_cast<int32_t>(cached.size()));
  }
}

}  // namespace
}  // namespace swiftlet
