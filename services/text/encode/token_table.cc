#include "services/text/encode/token_table.h"

#include <bit>
#include <utility>

namespace swiftlet {

void TokenTable::Reserve(size_t tokens, size_t bytes) {
  Grow(std::bit_ceil(tokens + tokens / 3 + 16));
  arena_.reserve(bytes);
}

bool TokenTable::Insert(std::string_view bytes, int32_t id) {
  if ((size_ + 1) * 4 > slots_.size() * 3) Grow(slots_.empty() ? 16 : slots_.size() * 2);
  const uint64_t hash = HashBytes(bytes);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & mask_;
  for (; slots_[at].id != kAbsent; at = (at + 1) & mask_) {
    const Slot& slot = slots_[at];
    if (slot.tag == tag && std::string_view(arena_).substr(slot.offset, slot.length) == bytes) return false;
  }
  slots_[at] = {tag, id, static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(bytes.size())};
  arena_.append(bytes);
  ++size_;
  return true;
}

void TokenTable::Grow(size_t slots) {
  if (slots <= slots_.size()) return;
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
  mask_ = slots - 1;
  for (const Slot& slot : old) {
    if (slot.id == kAbsent) continue;
    size_t at = HashBytes(std::string_view(arena_).substr(slot.offset, slot.length)) & mask_;
    while (slots_[at].id != kAbsent) at = (at + 1) & mask_;
    slots_[at] = slot;
  }
}

}  // namespace swiftlet
