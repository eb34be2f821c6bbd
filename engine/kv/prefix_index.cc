#include "engine/kv/prefix_index.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/base/check.h"

namespace swiftlet {

PrefixIndex::PrefixIndex(BlockPool* pool, const HashKey& key, int hash_bits)
    : pool_(pool), key_(key), hash_bits_(hash_bits), entries_(pool->num_total()) {
  pool_->SetEvictionListener([this](int32_t id) { Erase(id); });
}

PrefixIndex::~PrefixIndex() {
  pool_->SetEvictionListener(nullptr);
}

Hash128 PrefixIndex::Truncate(Hash128 hash) const {
  if (hash_bits_ >= 128) return hash;
  if (hash_bits_ >= 64) return {hash.low, hash_bits_ == 64 ? 0 : hash.high >> (128 - hash_bits_)};
  return {hash.low >> (64 - hash_bits_), 0};
}

PrefixIndex::Node PrefixIndex::Root(std::string_view salt) const {
  return {Truncate(KeyedHash(key_, std::as_bytes(std::span(salt.data(), salt.size()))))};
}

Hash128 PrefixIndex::Extend(const Hash128& parent, std::span<const int32_t> tokens) const {
  CHECK(tokens.size() == kBlockTokens) << "tokens " << tokens.size();
  std::array<std::byte, sizeof(Hash128) + kBlockTokens * sizeof(int32_t)> bytes;
  std::memcpy(bytes.data(), &parent, sizeof(Hash128));
  std::memcpy(bytes.data() + sizeof(Hash128), tokens.data(), tokens.size_bytes());
  return Truncate(KeyedHash(key_, bytes));
}

int32_t PrefixIndex::FindEntry(const Hash128& hash, uint64_t parent, std::string_view salt,
                               std::span<const int32_t> tokens) const {
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const Entry& entry = entries_[it->second];
    if (entry.parent == parent && (parent != 0 || entry.salt == salt) && std::ranges::equal(entry.tokens, tokens)) {
      return it->second;
    }
  }
  return -1;
}

int32_t PrefixIndex::Find(Node& node, std::string_view salt, std::span<const int32_t> tokens) const {
  if (!node.valid) return -1;
  const Hash128 hash = Extend(node.hash, tokens);
  const int32_t id = FindEntry(hash, node.entry, salt, tokens);
  if (id >= 0) node = {hash, entries_[id].serial};
  return id;
}

void PrefixIndex::Insert(Node& node, std::string_view salt, std::span<const int32_t> tokens, int32_t id) {
  if (!node.valid) return;
  const Hash128 hash = Extend(node.hash, tokens);
  const int32_t known = FindEntry(hash, node.entry, salt, tokens);
  if (known >= 0) {
    node = {hash, entries_[known].serial};
    return;
  }
  Entry& entry = entries_[id];
  // Indexed already means under a parent entry that was evicted since: the new place is the one that can be found.
  if (entry.serial != 0) Erase(id);
  entry.serial = ++last_serial_;
  entry.parent = node.entry;
  entry.hash = hash;
  if (entry.parent == 0) entry.salt = salt;
  entry.tokens.assign(tokens.begin(), tokens.end());
  by_hash_.emplace(hash, id);
  pool_->SetCached(id, true);
  node = {hash, entry.serial};
}

void PrefixIndex::Remove(int32_t id) {
  if (entries_[id].serial == 0) return;
  Erase(id);
  pool_->SetCached(id, false);
}

void PrefixIndex::Erase(int32_t id) {
  Entry& entry = entries_[id];
  const auto [begin, end] = by_hash_.equal_range(entry.hash);
  const auto it = std::find_if(begin, end, [&](const auto& item) { return item.second == id; });
  CHECK(it != end) << "block " << id << " is cached but not indexed";
  by_hash_.erase(it);
  entry = Entry();
}

}  // namespace swiftlet
