// The ids of the KV cache's blocks: who holds which, and which may be handed out next. Ids only; the tensors are
// kv_cache.h's. Owned by the scheduler; the step thread alone calls it.
//
//   live    reference count > 0
//   cached  nobody holds it, but the prefix index still knows what is in it; handed out last, least recently freed
//   first free    nobody holds it and its contents mean nothing
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace swiftlet {

inline constexpr int32_t kBlockTokens = 64;

class BlockPool {
 public:
  // One reference to one block; gives it back when destroyed. Must not outlive the pool.
  class Block {
   public:
    Block(Block&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_) {}
    Block& operator=(Block&& other) noexcept {
      if (this != &other) {
        Release();
        pool_ = std::exchange(other.pool_, nullptr);
        id_ = other.id_;
      }
      return *this;
    }
    ~Block() { Release(); }

    int32_t id() const { return id_; }
    // A second reference to the same block.
    Block Share() const { return pool_->Acquire(id_); }

   private:
    friend class BlockPool;
    Block(BlockPool* pool, int32_t id) : pool_(pool), id_(id) {}
    void Release() {
      if (pool_ != nullptr) std::exchange(pool_, nullptr)->Release(id_);
    }

    BlockPool* pool_;  // null once moved from
    int32_t id_;
  };

  explicit BlockPool(int32_t num_blocks);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A free block, else the least recently freed cached one (the listener hears of it first); nothing when all are live.
  std::optional<Block> Allocate();
  // A reference to a live or cached block, whose contents stay as they are.
  Block Acquire(int32_t id);

  // For the prefix index alone: marks a block's contents as known, and forgets them.
  void SetCached(int32_t id, bool cached);
  // Called with the id of a cached block that is about to be handed out for other contents.
  void SetEvictionListener(std::function<void(int32_t id)> listener) { on_eviction_ = std::move(listener); }

  int32_t num_total() const { return static_cast<int32_t>(states_.size()); }
  int32_t num_live() const { return num_total() - free_.size - cached_.size; }
  int32_t num_free() const { return free_.size; }
  int32_t num_cached() const { return cached_.size; }
  int32_t num_available() const { return free_.size + cached_.size; }

  // CHECKs the lists against the counts, block by block.
  void CheckIntegrity() const;

 private:
  struct State {
    int32_t references = 0;
    bool cached = false;
    int32_t previous = -1, next = -1;  // in free_ or cached_ while references == 0
  };
  // Least recently freed at the head.
  struct List {
    int32_t head = -1, tail = -1, size = 0;
  };

  void Release(int32_t id);
  List& ListOf(const State& state) { return state.cached ? cached_ : free_; }
  void Append(List& list, int32_t id);
  void Unlink(List& list, int32_t id);

  std::vector<State> states_;
  List free_;
  List cached_;
  std::function<void(int32_t)> on_eviction_;
};

}  // namespace swiftlet
