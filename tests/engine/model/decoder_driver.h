// Drives a Decoder the way the runtime does, for tests: sequences with their block tables, prefill in chunks, decode
// one token at a time, alone or batched.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "engine/model/decoder.h"

namespace swiftlet {

inline int32_t ArgMax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct DrivenSequence {
  std::vector<int32_t> block_ids;
  int32_t num_computed = 0;
};

class DecoderDriver {
 public:
  explicit DecoderDriver(Decoder& decoder) : decoder_(decoder) {}

  DrivenSequence NewSequence(int32_t max_tokens) {
    DrivenSequence sequence;
    for (int32_t i = 0; i < (max_tokens + 63) / 64; ++i) sequence.block_ids.push_back(next_block_++);
    return sequence;
  }

  // One share of a step: `ids` follow what `sequence` has computed.
  struct Share {
    DrivenSequence* sequence;
    std::vector<int32_t> ids;
  };

  // One Forward. Returns the logits of every row, [rows, vocab].
  std::vector<float> Step(std::span<const Share> shares) {
    std::vector<int32_t> ids;
    std::vector<DecoderSequence> sequences;
    for (const Share& share : shares) {
      sequences.push_back({.first_row = static_cast<int32_t>(ids.size()),
                           .num_rows = static_cast<int32_t>(share.ids.size()),
                           .first_position = share.sequence->num_computed,
                           .block_ids = share.sequence->block_ids});
      ids.insert(ids.end(), share.ids.begin(), share.ids.end());
    }
    decoder_.Forward({ids, sequences});
    for (const Share& share : shares) share.sequence->num_computed += static_cast<int32_t>(share.ids.size());
    std::vector<int32_t> rows(ids.size());
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<float> logits(rows.size() * decoder_.shape().vocab_size);
    decoder_.ComputeLogits(rows, logits);
    return logits;
  }

  // Feeds `ids` in chunks of `chunk`; the logits of the last row.
  std::vector<float> Prefill(DrivenSequence& sequence, std::span<const int32_t> ids, size_t chunk) {
    std::vector<float> logits;
    for (size_t at = 0; at < ids.size(); at += chunk) {
      const auto part = ids.subspan(at, std::min(chunk, ids.size() - at));
      const Share share{&sequence, {part.begin(), part.end()}};
      logits = Step({&share, 1});
    }
    return {logits.end() - decoder_.shape().vocab_size, logits.end()};
  }

 private:
  Decoder& decoder_;
  int32_t next_block_ = 0;
};

}  // namespace swiftlet
