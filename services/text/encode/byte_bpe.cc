#include "services/text/encode/byte_bpe.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "services/text/encode/byte_alphabet.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {
namespace {

// Up to this many units the quadratic scan over a few cache lines is faster than the heap.
constexpr size_t kShortUnits = 96;
constexpr uint32_t kNone = ~uint32_t{0};

}  // namespace

BpeModel::BpeModel(Options options, TokenTable tokens, MergeTable merges, std::vector<bool> reserved, size_t num_ids)
    : options_(std::move(options)),
      tokens_(std::move(tokens)),
      merges_(std::move(merges)),
      reserved_(std::move(reserved)),
      byte_ids_(256, TokenTable::kAbsent),
      states_(std::make_unique<std::atomic<State>[]>(num_ids)) {
  reserved_.resize(num_ids);
  can_form_reserved_ = std::find(reserved_.begin(), reserved_.end(), true) != reserved_.end();
  for (int byte = 0; byte < 256; ++byte) {
    if (options_.units == Units::kBytes) {
      const char text = static_cast<char>(byte);
      byte_ids_[byte] = tokens_.Find(std::string_view(&text, 1));
    } else if (options_.byte_fallback) {
      byte_ids_[byte] = tokens_.Find(absl::StrFormat("<0x%02X>", byte));
    }
  }
  const bool every_byte_has_token =
      std::find(byte_ids_.begin(), byte_ids_.end(), TokenTable::kAbsent) == byte_ids_.end();
  if (options_.units != Units::kBytes || !every_byte_has_token) return;
  byte_ranks_.resize(256 * 256);
  for (size_t pair = 0; pair < byte_ranks_.size(); ++pair) {
    byte_ranks_[pair] = merges_.Rank(byte_ids_[pair / 256], byte_ids_[pair % 256]);
  }
}

void BpeModel::Encode(std::string_view piece, bool guarded, BpeScratch& scratch, std::vector<int32_t>& out) const {
  guarded = guarded && can_form_reserved_;
  if (options_.units == Units::kSpelledBytes) {
    scratch.spelling.clear();
    AppendSpellingOfBytes(piece, scratch.spelling);
    piece = scratch.spelling;
  }
  const uint64_t hash = HashBytes(piece);
  const int32_t whole = tokens_.Find(piece, hash);
  const bool whole_is_allowed = whole != TokenTable::kAbsent && !(guarded && reserved_[whole]);
  if (whole_is_allowed &&
      (options_.ignore_merges || states_[whole].load(std::memory_order_relaxed) == State::kItself)) {
    out.push_back(whole);
    return;
  }
  const bool cacheable = piece.size() <= PieceCache::kMaxBytes && !guarded;
  PieceCache::Entry& cached = scratch.cache.At(hash);
  if (cacheable) ++scratch.lookups;
  if (cacheable && cached.length == piece.size() && std::equal(piece.begin(), piece.end(), cached.bytes)) {
    ++scratch.hits;
    out.insert(out.end(), cached.ids, cached.ids + cached.count);
    return;
  }
  const size_t before = out.size();
  EncodeByMerging(piece, guarded, scratch, out);
  const size_t count = out.size() - before;
  if (whole_is_allowed && !guarded) {
    const bool is_itself = count == 1 && out.back() == whole;
    states_[whole].store(is_itself ? State::kItself : State::kOther, std::memory_order_relaxed);
    if (is_itself) return;
  }
  if (cacheable && count <= PieceCache::kMaxIds) {
    cached.length = static_cast<uint8_t>(piece.size());
    cached.count = static_cast<uint8_t>(count);
    std::copy(piece.begin(), piece.end(), cached.bytes);
    std::copy(out.end() - static_cast<std::ptrdiff_t>(count), out.end(), cached.ids);
  }
}

void BpeModel::EncodeByMerging(std::string_view piece, bool guarded, BpeScratch& scratch,
                               std::vector<int32_t>& out) const {
  scratch.ids.clear();
  SplitIntoUnits(piece, scratch.ids);
  if (scratch.ids.size() > 1) {
    RankUnits(piece, guarded, scratch);
    if (scratch.ids.size() <= kShortUnits) {
      MergeShort(guarded, scratch);
    } else {
      MergeLong(guarded, scratch);
    }
  }
  out.insert(out.end(), scratch.ids.begin(), scratch.ids.end());
}

void BpeModel::SplitIntoUnits(std::string_view piece, std::vector<int32_t>& ids) const {
  if (options_.units != Units::kBytes) {
    SplitIntoCharacters(piece, ids);
    return;
  }
  bool last_is_unk = false;
  for (const char byte : piece) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id != TokenTable::kAbsent) {
      ids.push_back(id);
      last_is_unk = false;
    } else if (options_.unk_id != TokenTable::kAbsent) {
      if (!(last_is_unk && options_.fuse_unk)) ids.push_back(options_.unk_id);
      last_is_unk = true;
    }
  }
}

void BpeModel::SplitIntoCharacters(std::string_view piece, std::vector<int32_t>& ids) const {
  std::string decorated;
  // An unk waits until the next known character: byte-fallback ids that come between go before it. This is what
  // Hugging Face's tokenizers do, and it shows where only some of the 256 byte tokens exist.
  bool unk_waits = false;
  const auto add_unk = [&] {
    if (unk_waits) ids.push_back(options_.unk_id);
    unk_waits = false;
  };
  for (size_t at = 0; at < piece.size();) {
    const size_t length = static_cast<size_t>(Utf8Length(piece[at]));
    const std::string_view character = piece.substr(at, length);
    std::string_view symbol = character;
    const bool is_first = at == 0;
    at += length;
    const bool is_last = at == piece.size();
    const bool has_prefix = !is_first && !options_.continuing_subword_prefix.empty();
    const bool has_suffix = is_last && !options_.end_of_word_suffix.empty();
    if (has_prefix || has_suffix) {
      decorated.clear();
      if (has_prefix) decorated += options_.continuing_subword_prefix;
      decorated += character;
      if (has_suffix) decorated += options_.end_of_word_suffix;
      symbol = decorated;
    }
    const int32_t id = tokens_.Find(symbol);
    if (id != TokenTable::kAbsent) {
      add_unk();
      ids.push_back(id);
      continue;
    }
    if (options_.byte_fallback) {
      const auto has_token = [&](char byte) { return byte_ids_[static_cast<uint8_t>(byte)] != TokenTable::kAbsent; };
      if (std::all_of(symbol.begin(), symbol.end(), has_token)) {
        for (const char byte : symbol) ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
        continue;
      }
    }
    if (options_.unk_id == TokenTable::kAbsent) continue;
    if (!options_.fuse_unk) add_unk();
    unk_waits = true;
  }
  add_unk();
}

uint32_t BpeModel::Rank(int32_t left, int32_t right, bool guarded) const {
  const uint32_t rank = merges_.Rank(left, right);
  if (guarded && rank != MergeTable::kNever && reserved_[static_cast<size_t>(merges_.Merged(rank))]) {
    return MergeTable::kNever;
  }
  return rank;
}

void BpeModel::RankUnits(std::string_view piece, bool guarded, BpeScratch& scratch) const {
  const size_t pairs = scratch.ids.size() - 1;
  scratch.ranks.resize(pairs + 1);
  scratch.ranks[pairs] = MergeTable::kNever;
  const int32_t* ids = scratch.ids.data();
  uint32_t* ranks = scratch.ranks.data();
  if (!byte_ranks_.empty() && !guarded) {
    for (size_t i = 0; i < pairs; ++i) {
      ranks[i] = byte_ranks_[256 * static_cast<uint8_t>(piece[i]) + static_cast<uint8_t>(piece[i + 1])];
    }
    return;
  }
  for (size_t i = 0; i < pairs; ++i) ranks[i] = Rank(ids[i], ids[i + 1], guarded);
}

// Repeatedly the lowest rank, leftmost first, over arrays that shrink.
void BpeModel::MergeShort(bool guarded, BpeScratch& scratch) const {
  size_t count = scratch.ids.size();
  int32_t* ids = scratch.ids.data();
  uint32_t* ranks = scratch.ranks.data();
  while (count > 1) {
    uint32_t lowest = MergeTable::kNever;
    for (size_t i = 0; i + 1 < count; ++i) lowest = std::min(lowest, ranks[i]);
    if (lowest == MergeTable::kNever) break;
    size_t best = 0;
    while (ranks[best] != lowest) ++best;
    ids[best] = merges_.Merged(lowest);
    std::copy(ids + best + 2, ids + count, ids + best + 1);
    if (best + 2 < count) std::copy(ranks + best + 2, ranks + count - 1, ranks + best + 1);
    --count;
    if (best > 0) ranks[best - 1] = Rank(ids[best - 1], ids[best], guarded);
    if (best + 1 < count) ranks[best] = Rank(ids[best], ids[best + 1], guarded);
  }
  scratch.ids.resize(count);
}

// The same order from a heap of (rank, position) over a linked list: n log n for pieces of any length. An entry is
// stale when its pair has changed since, which its rank tells: a rank belongs to one pair only.
void BpeModel::MergeLong(bool guarded, BpeScratch& scratch) const {
  const auto count = static_cast<uint32_t>(scratch.ids.size());
  std::vector<int32_t>& ids = scratch.ids;
  std::vector<uint32_t>& ranks = scratch.ranks;
  std::vector<uint32_t>& next = scratch.next;
  std::vector<uint32_t>& previous = scratch.previous;
  std::vector<uint64_t>& heap = scratch.heap;
  next.resize(count);
  previous.resize(count);
  heap.clear();
  const auto key = [&](uint32_t i) { return static_cast<uint64_t>(ranks[i]) << 32 | i; };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == count ? kNone : i + 1;
  }
  for (uint32_t i = 0; i + 1 < count; ++i) {
    if (ranks[i] != MergeTable::kNever) heap.push_back(key(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto update = [&](uint32_t i) {
    ranks[i] = Rank(ids[i], ids[next[i]], guarded);
    if (ranks[i] == MergeTable::kNever) return;
    heap.push_back(key(i));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint64_t top = heap.back();
    heap.pop_back();
    const auto at = static_cast<uint32_t>(top);
    if (ranks[at] != static_cast<uint32_t>(top >> 32)) continue;
    const uint32_t right = next[at];
    ids[at] = merges_.Merged(ranks[at]);
    ranks[at] = MergeTable::kNever;
    ranks[right] = MergeTable::kNever;
    next[at] = next[right];
    if (next[at] != kNone) {
      previous[next[at]] = at;
      update(at);
    }
    if (previous[at] != kNone) update(previous[at]);
  }
  size_t kept = 0;
  for (uint32_t i = 0; i != kNone; i = next[i]) ids[kept++] = ids[i];
  ids.resize(kept);
}

}  // namespace swiftlet
