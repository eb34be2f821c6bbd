// Byte-pair encoding of one piece of text: the model of a tokenizer.json. Const and shared by all threads once built;
// each caller brings a BpeScratch of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/merge_table.h"
#include "services/text/encode/token_table.h"

namespace swiftlet {

// A bounded memory of pieces already encoded. Direct mapped: a newer piece takes the place of an older one.
class PieceCache {
 public:
  static constexpr size_t kMaxBytes = 27;
  static constexpr size_t kMaxIds = 8;
  struct Entry {
    uint8_t length = 0;  // of bytes; 0: empty
    uint8_t count = 0;   // of ids
    char bytes[kMaxBytes] = {};
    int32_t ids[kMaxIds] = {};
  };

  PieceCache() : entries_(kEntries) {}
  Entry& At(uint64_t hash) { return entries_[hash >> 32 & (kEntries - 1)]; }

 private:
  static constexpr size_t kEntries = size_t{1} << 14;  // 1 MB
  std::vector<Entry> entries_;
};

struct BpeScratch {
  PieceCache cache;
  uint64_t lookups = 0;  // in the cache, as the next
  uint64_t hits = 0;
  std::vector<int32_t> ids;
  std::vector<uint32_t> ranks;
  std::vector<uint32_t> next;
  std::vector<uint32_t> previous;
  std::vector<uint64_t> heap;
  std::string spelling;
};

class BpeModel {
 public:
  // How the text of a piece becomes the units that merges start from.
  enum class Units {
    kBytes,         // one a byte; `tokens` is keyed by bytes
    kCharacters,    // one a character; `tokens` is keyed by text
    kSpelledBytes,  // as kCharacters, of the piece written in the byte alphabet
  };
  struct Options {
    Units units = Units::kBytes;
    bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
    bool byte_fallback = false;  // a character without token becomes the tokens <0xNN> of its bytes
    bool fuse_unk = false;       // neighbouring unknown characters become one unk
    int32_t unk_id = TokenTable::kAbsent;
    std::string continuing_subword_prefix;  // kCharacters and kSpelledBytes only, as the next
    std::string end_of_word_suffix;
  };

  // `num_ids`: one more than the largest id. `reserved[id]`: never to be made from text of users; set only for ids that
  // a merge, or with ignore_merges a whole piece, could make.
  BpeModel(Options options, TokenTable tokens, MergeTable merges, std::vector<bool> reserved, size_t num_ids);

  // Appends the ids of `piece` (valid UTF-8, not empty). `guarded`: the piece has bytes of a user.
  void Encode(std::string_view piece, bool guarded, BpeScratch& scratch, std::vector<int32_t>& out) const;

 private:
  enum class State : uint8_t { kUnknown, kItself, kOther };

  void EncodeByMerging(std::string_view piece, bool guarded, BpeScratch& scratch, std::vector<int32_t>& out) const;
  void SplitIntoUnits(std::string_view piece, std::vector<int32_t>& ids) const;
  void SplitIntoCharacters(std::string_view piece, std::vector<int32_t>& ids) const;
  // As MergeTable::Rank, without the merges that `guarded` forbids.
  uint32_t Rank(int32_t left, int32_t right, bool guarded) const;
  // Sets scratch.ranks to the rank of each unit of scratch.ids with the next; `piece` is what the units came from.
  void RankUnits(std::string_view piece, bool guarded, BpeScratch& scratch) const;
  void MergeShort(bool guarded, BpeScratch& scratch) const;
  void MergeLong(bool guarded, BpeScratch& scratch) const;

  Options options_;
  TokenTable tokens_;
  MergeTable merges_;
  std::vector<bool> reserved_;
  bool can_form_reserved_ = false;    // whether `guarded` makes a difference at all
  std::vector<int32_t> byte_ids_;     // kBytes: id of each byte; with byte_fallback: id of each <0xNN>; else kAbsent
  std::vector<uint32_t> byte_ranks_;  // kBytes: the rank of each pair of bytes, [256 * left + right];
                                      // empty where a byte has no token
  // Whether merging the bytes of a token gives the token back: found on first use, so that a piece that is a token
  // costs one look-up afterwards. Any thread writes the same value.
  std::unique_ptr<std::atomic<State>[]> states_;
};

}  // namespace swiftlet
