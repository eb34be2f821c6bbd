// A decoder whose logits are a hash of the whole prefix, read through the paged block ids: a wrong, stale or foreign
// block, a wrong position or a lost copy changes every later token. Reading a cell that does not hold the position
// asked for aborts.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "engine/base/check.h"
#include "engine/model/decoder.h"

namespace swiftlet::tests {

struct FakeDecoderOptions {
  int32_t vocab_size = 53;
  int32_t max_position = 1024;
  int32_t num_blocks = 16;
  int32_t max_batch_tokens = 512;
  int32_t poison_token = -1;  // logits of a prefix that holds it are NaN
  int32_t num_threads = 1;
  int32_t step_us = 0;  // a forward pass takes at least this long
};

// What happened, for tests that look on from another thread.
struct FakeDecoderCounters {
  std::atomic<int64_t> rows{0}, forwards{0}, copies{0}, largest_forward{0};
};

class FakeDecoder final : public Decoder {
 public:
  explicit FakeDecoder(const FakeDecoderOptions& options, std::shared_ptr<FakeDecoderCounters> counters = nullptr)
      : options_(options),
        counters_(counters ? std::move(counters) : std::make_shared<FakeDecoderCounters>()),
        cells_(size_t{64} * options.num_blocks),
        pool_(options.num_threads) {
    shape_.vocab_size = options.vocab_size;
    shape_.max_position = options.max_position;
    shape_.kv_bytes_per_block = 64 * sizeof(Cell);
    shape_.num_blocks = options.num_blocks;
  }

  const DecoderShape& shape() const override { return shape_; }
  ThreadPool* thread_pool() override { return &pool_; }

  void Forward(const DecoderBatch& batch) override {
    CHECK(static_cast<int32_t>(batch.token_ids.size()) <= options_.max_batch_tokens) << batch.token_ids.size();
    std::this_thread::sleep_for(std::chrono::microseconds(options_.step_us));
    hashes_.clear();
    for (const DecoderSequence& sequence : batch.sequences) {
      CHECK(sequence.first_row == static_cast<int32_t>(hashes_.size())) << "a gap at row " << sequence.first_row;
      for (int32_t i = 0; i < sequence.num_rows; ++i) {
        const int32_t token = batch.token_ids[sequence.first_row + i];
        CHECK(token >= 0 && token < shape_.vocab_size) << "token " << token;
        const int32_t position = sequence.first_position + i;
        At(sequence, position) = {position, token};
        hashes_.push_back(HashPrefix(sequence, position));
      }
    }
    counters_->rows += static_cast<int64_t>(hashes_.size());
    ++counters_->forwards;
    counters_->largest_forward = std::max<int64_t>(counters_->largest_forward, hashes_.size());
  }

  void ComputeLogits(std::span<const int32_t> rows, std::span<float> logits) override {
    CHECK(rows.size() <= 64 && logits.size() == rows.size() * shape_.vocab_size) << rows.size();
    for (size_t i = 0; i < rows.size(); ++i) FillLogits(hashes_[rows[i]], logits.subspan(i * shape_.vocab_size));
  }

  void CopyBlock(int32_t from, int32_t to) override {
    CHECK(from != to) << "block " << from;
    std::copy_n(cells_.begin() + from * 64, 64, cells_.begin() + to * 64);
    ++counters_->copies;
  }

  // Peaked like text: a few tokens share most of the mass.
  void FillLogits(uint64_t hash, std::span<float> logits) const {
    for (int32_t id = 0; id < shape_.vocab_size; ++id) {
      const uint64_t bits = Mix(hash ^ Mix(id + 1));
      logits[id] = hash == kPoisoned ? std::numeric_limits<float>::quiet_NaN()
                                     : 6.0f * static_cast<float>(bits >> 40) / (1 << 24) - 3.0f;
    }
  }

  static constexpr uint64_t kPoisoned = 0;
  static uint64_t Mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

 private:
  struct Cell {
    int32_t position = -1;
    int32_t token = -1;
  };

  Cell& At(const DecoderSequence& sequence, int32_t position) {
    CHECK(position / 64 < static_cast<int32_t>(sequence.block_ids.size())) << "position " << position;
    return cells_[sequence.block_ids[position / 64] * size_t{64} + position % 64];
  }

  uint64_t HashPrefix(const DecoderSequence& sequence, int32_t last) {
    uint64_t hash = 1;
    for (int32_t position = 0; position <= last; ++position) {
      const Cell& cell = At(sequence, position);
      CHECK(cell.position == position) << "position " << position << " reads what belongs at " << cell.position;
      if (cell.token == options_.poison_token) return kPoisoned;
      hash = Mix(hash + cell.token);
    }
    return hash | 1;
  }

  const FakeDecoderOptions options_;
  const std::shared_ptr<FakeDecoderCounters> counters_;
  DecoderShape shape_;
  std::vector<Cell> cells_;
  std::vector<uint64_t> hashes_;
  ThreadPool pool_;
};

}  // namespace swiftlet::tests
