// What a worker still has to tell one gateway. Outputs of later steps join those that wait, so while a write is in
// flight the next message grows instead of a queue. Owned by an Attachment, whose mutex guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "engine/runtime/generation_request.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

class Outbox {
 public:
  // `output.first_index` follows what the choice had before; nothing comes after a choice's finish reason.
  void Add(SequenceOutput output, uint32_t epoch);

  // The next message's outputs: at most `max_bytes` on the wire, and at most a quarter of that for one choice, so that
  // long log-probabilities leave in slices between the tokens of the others. A choice's prompt log-probabilities leave
  // before its ids, its finish reason with its last piece. False when nothing waits.
  bool Take(size_t max_bytes, v1::StepOutputs& message);

  bool empty() const { return order_.empty(); }
  // Upper estimate of what waits, on the wire.
  size_t bytes() const { return bytes_; }

 private:
  using Key = std::pair<uint64_t, int32_t>;  // request, choice
  struct Entry {
    SequenceOutput output;
    uint32_t epoch = 0;
    size_t ids_sent = 0;  // ids and their log-probabilities
    size_t prompt_sent = 0;
  };

  // Moves the first part of `entry` to `piece`; true when nothing of it is left.
  static bool TakePiece(Entry& entry, size_t max_bytes, v1::SequenceOutput& piece, size_t& piece_bytes);

  std::map<Key, Entry> entries_;
  std::deque<Key> order_;  // the keys of entries_, in the order they get their turn
  size_t bytes_ = 0;
};

}  // namespace swiftlet
