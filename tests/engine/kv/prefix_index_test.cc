#include "engine/kv/prefix_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace swiftlet {
namespace {

constexpr HashKey kKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

std::vector<int32_t> Block(int32_t value) {
  return std::vector<int32_t>(kBlockTokens, value);
}

TEST(KeyedHash, MatchesThePublishedVector) {
  // SipHash-2-4-128, key 00 01 .. 0f: the empty message, and 00 .. 0e.
  EXPECT_EQ(KeyedHash(kKey, {}), (Hash128{0xe6a825ba047f81a3, 0x930255c71472f66d}));
  std::vector<std::byte> message;
  for (int i = 0; i < 15; ++i) message.push_back(static_cast<std::byte>(i));
  EXPECT_NE(KeyedHash(kKey, message), KeyedHash({1, 2}, message));
}

class PrefixIndexTest : public testing::Test {
 protected:
  // Allocates and indexes one block a value, below `salt`; the handles stay in held_.
  std::vector<int32_t> Put(const std::string& salt, const std::vector<int32_t>& values) {
    std::vector<int32_t> ids;
    PrefixIndex::Node node = index_.Root(salt);
    for (const int32_t value : values) {
      held_.push_back(*pool_.Allocate());
      ids.push_back(held_.back().id());
      index_.Insert(node, salt, Block(value), ids.back());
    }
    return ids;
  }
  std::vector<int32_t> Get(const std::string& salt, const std::vector<int32_t>& values) {
    std::vector<int32_t> ids;
    PrefixIndex::Node node = index_.Root(salt);
    for (const int32_t value : values) {
      const int32_t id = index_.Find(node, salt, Block(value));
      if (id < 0) break;
      ids.push_back(id);
    }
    return ids;
  }

  BlockPool pool_{8};
  PrefixIndex index_{&pool_, kKey};
  std::vector<BlockPool::Block> held_;
};

//  "" ── 1 ── 2 ── 3
//         └── 4
TEST_F(PrefixIndexTest, FindsTheLongestIndexedPrefix) {
  const std::vector<int32_t> first = Put("", {1, 2, 3});
  PrefixIndex::Node node = index_.Root("");
  ASSERT_GE(index_.Find(node, "", Block(1)), 0);
  held_.push_back(*pool_.Allocate());
  index_.Insert(node, "", Block(4), held_.back().id());

  EXPECT_EQ(Get("", {1, 2, 3, 5}), first);
  EXPECT_EQ(Get("", {1, 4}), (std::vector<int32_t>{first[0], held_.back().id()}));
  EXPECT_TRUE(Get("", {2}).empty()) << "a block counts only below its own prefix";
  EXPECT_TRUE(Get("other", {1}).empty());
}

TEST_F(PrefixIndexTest, EqualPrefixKeepsTheFirstBlock) {
  const std::vector<int32_t> first = Put("", {1, 2});
  const std::vector<int32_t> second = Put("", {1, 2});
  EXPECT_EQ(Get("", {1, 2}), first);
  held_.clear();
  EXPECT_EQ(pool_.num_cached(), 2);
}

TEST_F(PrefixIndexTest, BlocksStayUntilThePoolNeedsThem) {
  const std::vector<int32_t> ids = Put("", {1, 2, 3});
  while (!held_.empty()) held_.pop_back();  // tail first
  EXPECT_EQ(Get("", {1, 2, 3}), ids);
  for (int i = 0; i < 6; ++i) held_.push_back(*pool_.Allocate());
  EXPECT_EQ(Get("", {1, 2, 3}), (std::vector<int32_t>{ids[0], ids[1]})) << "the tail goes first";
  for (int i = 0; i < 2; ++i) held_.push_back(*pool_.Allocate());
  EXPECT_EQ(index_.size(), 0u);
}

TEST_F(PrefixIndexTest, RemovedBlockIsNotServed) {
  const std::vector<int32_t> ids = Put("", {1, 2});
  index_.Remove(ids[0]);
  EXPECT_TRUE(Get("", {1, 2}).empty());
  EXPECT_TRUE(Put("", {1}).size() == 1 && Get("", {1, 2}).size() == 1) << "nor what hung below it";
}

// A model of the index that compares whole prefixes: with a hash of 4 bits nearly every look-up meets a collision.
TEST(PrefixIndex, CollisionsNeverServeForeignBlocks) {
  for (const int bits : {0, 4, 128}) {
    std::mt19937 random(bits);
    BlockPool pool(20);
    PrefixIndex index(&pool, kKey, bits == 0 ? 1 : bits);
    std::map<int32_t, std::vector<int32_t>> contents;  // block id -> salt and values of its whole prefix
    int64_t hits = 0;
    std::vector<std::vector<BlockPool::Block>> sequences;
    for (int step = 0; step < 4000; ++step) {
      if (sequences.size() > 3 || (!sequences.empty() && random() % 3 == 0)) {
        std::swap(sequences[random() % sequences.size()], sequences.back());
        while (!sequences.back().empty()) sequences.back().pop_back();
        sequences.pop_back();
      }
      const int32_t salt_number = static_cast<int32_t>(random() % 2);
      const std::string salt = salt_number == 0 ? "" : "s";
      std::vector<int32_t> prefix = {salt_number};
      std::vector<BlockPool::Block> blocks;
      PrefixIndex::Node node = index.Root(salt);
      bool matching = true;
      const int length = 1 + static_cast<int>(random() % 4);
      for (int depth = 0; depth < length; ++depth) {
        prefix.push_back(static_cast<int32_t>(random() % 3));
        const int32_t id = matching ? index.Find(node, salt, Block(prefix.back())) : -1;
        if (id >= 0) {
          ASSERT_EQ(contents.at(id), prefix) << "step " << step;
          blocks.push_back(pool.Acquire(id));
          ++hits;
          continue;
        }
        matching = false;
        auto block = pool.Allocate();
        if (!block) break;
        contents[block->id()] = prefix;
        index.Insert(node, salt, Block(prefix.back()), block->id());
        blocks.push_back(*std::move(block));
      }
      sequences.push_back(std::move(blocks));
      pool.CheckIntegrity();
      ASSERT_LE(pool.num_cached(), static_cast<int32_t>(index.size()));
    }
    EXPECT_GT(hits, 2000) << bits << " bits";
    sequences.clear();
    EXPECT_EQ(pool.num_cached(), static_cast<int32_t>(index.size()));
    EXPECT_EQ(pool.num_available(), pool.num_total());
  }
}

}  // namespace
}  // namespace swiftlet
