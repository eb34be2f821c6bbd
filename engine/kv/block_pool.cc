#include "engine/kv/block_pool.h"

#include "engine/base/check.h"

namespace swiftlet {

BlockPool::BlockPool(int32_t num_blocks) : states_(num_blocks) {
  for (int32_t id = 0; id < num_blocks; ++id) Append(free_, id);
}

std::optional<BlockPool::Block> BlockPool::Allocate() {
  int32_t id = free_.head;
  if (id < 0) {
    id = cached_.head;
    if (id < 0) return std::nullopt;
    if (on_eviction_) on_eviction_(id);
    SetCached(id, false);
  }
  return Acquire(id);
}

BlockPool::Block BlockPool::Acquire(int32_t id) {
  State& state = states_[id];
  if (state.references == 0) Unlink(ListOf(state), id);
  ++state.references;
  return Block(this, id);
}

void BlockPool::SetCached(int32_t id, bool cached) {
  State& state = states_[id];
  if (state.cached == cached) return;
  if (state.references == 0) Unlink(ListOf(state), id);
  state.cached = cached;
  if (state.references == 0) Append(ListOf(state), id);
}

void BlockPool::Release(int32_t id) {
  State& state = states_[id];
  CHECK(state.references > 0) << "block " << id;
  if (--state.references == 0) Append(ListOf(state), id);
}

void BlockPool::Append(List& list, int32_t id) {
  State& state = states_[id];
  state.previous = list.tail;
  state.next = -1;
  (list.tail < 0 ? list.head : states_[list.tail].next) = id;
  list.tail = id;
  ++list.size;
}

void BlockPool::Unlink(List& list, int32_t id) {
  State& state = states_[id];
  (state.previous < 0 ? list.head : states_[state.previous].next) = state.next;
  (state.next < 0 ? list.tail : states_[state.next].previous) = state.previous;
  --list.size;
}

void BlockPool::CheckIntegrity() const {
  int32_t live = 0;
  for (const State& state : states_) {
    CHECK(state.references >= 0) << "references " << state.references;
    live += state.references > 0;
  }
  for (const List* list : {&free_, &cached_}) {
    int32_t length = 0;
    for (int32_t id = list->head; id >= 0; id = states_[id].next) {
      CHECK(states_[id].references == 0) << "block " << id << " is live and in a list";
      CHECK(states_[id].cached == (list == &cached_)) << "block " << id << " is in the wrong list";
      ++length;
    }
    CHECK(length == list->size) << "length " << length << " size " << list->size;
  }
  CHECK(live + free_.size + cached_.size == num_total())
      << "live " << live << " free " << free_.size << " cached " << cached_.size << " total " << num_total();
}

}  // namespace swiftlet
