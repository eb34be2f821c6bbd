#include "engine/runtime/cuda/step_upload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "engine/scheduler/scheduler.h"

namespace swiftlet::cuda {
namespace {

using testing::ElementsAre;

// Reads an upload as BeginStep does.
class Unpacked {
 public:
  explicit Unpacked(const StepPacker& packer) : bytes_(packer.bytes()) {
    packer.Write(bytes_.data());
    std::memcpy(&header, bytes_.data(), sizeof(header));
  }
  template <typename T>
  std::vector<T> Array(int32_t offset, int32_t count) const {
    EXPECT_EQ(offset % 16, 0);
    EXPECT_LE(offset + sizeof(T) * static_cast<size_t>(count), bytes_.size());
    std::vector<T> values(static_cast<size_t>(count));
    if (count > 0) std::memcpy(values.data(), bytes_.data() + offset, sizeof(T) * values.size());
    return values;
  }
  std::vector<int32_t> tokens() const { return Array<int32_t>(header.token_ids, header.counts.num_tokens); }
  std::vector<SequenceSpan> sequences() const {
    return Array<SequenceSpan>(header.sequences, header.counts.num_sequences);
  }
  std::vector<PrefillTile> tiles() const {
    return Array<PrefillTile>(header.prefill_tiles, header.counts.num_prefill_tiles);
  }
  std::vector<Draw> draws() const { return Array<Draw>(header.draws, header.counts.num_draws); }
  std::vector<int32_t> logits_tokens() const { return Array<int32_t>(header.logits_tokens, header.counts.num_logits); }
  std::vector<BlockPatch> block_patches() const {
    return Array<BlockPatch>(header.block_patches, header.num_block_patches);
  }
  std::vector<RowPatch> row_patches() const { return Array<RowPatch>(header.row_patches, header.num_row_patches); }

  StepUpload header;

 private:
  std::vector<std::byte> bytes_;
};

std::shared_ptr<GenerationRequest> Request(int32_t prompt_size) {
  auto request = std::make_shared<GenerationRequest>();
  for (int32_t i = 0; i < prompt_size; ++i) request->prompt_ids.push_back(100 + i);
  request->max_tokens = 10;
  return request;
}

StepPlan::Row Row(int32_t row, int32_t choice = 0, std::vector<int32_t> output_ids = {}) {
  return {.row = row, .request = 1, .choice = choice, .output_ids = std::move(output_ids)};
}

StepPlan::Item Prefill(int32_t row, int32_t begin, int32_t count, bool sample) {
  StepPlan::Item item;
  item.row = row;
  item.begin = begin;
  item.count = count;
  for (int32_t i = 0; i < count; ++i) item.token_ids.push_back(100 + begin + i);
  for (int32_t block = 0; block * 64 < begin + count; ++block) item.block_ids.push_back(10 * row + block);
  item.sample = sample;
  return item;
}

StepPlan::Item Decode(int32_t row, int32_t position) {
  StepPlan::Item item = Prefill(row, position, 1, true);
  item.token_ids.clear();
  return item;
}

TEST(StepUpload, PutsDecodesAndChunksWhereBeginStepReadsThem) {
  StepPacker packer(8, 16);
  StepBatch first;
  first.plan.rows = {Row(3), Row(5)};
  first.row_requests = {Request(130), Request(20)};
  first.plan.items = {Prefill(3, 0, 130, true), Prefill(5, 0, 10, false)};
  packer.Pack(first, 1);
  {
    const Unpacked step(packer);
    EXPECT_EQ(step.header.counts.num_tokens, 140);
    EXPECT_EQ(step.header.counts.num_sequences, 2);
    EXPECT_EQ(step.header.counts.num_decodes, 0);
    EXPECT_EQ(step.header.counts.num_prefill_tiles, 3 + 1);
    EXPECT_EQ(step.header.counts.result_slot, 1);
    EXPECT_THAT(step.logits_tokens(), ElementsAre(129));
    ASSERT_EQ(step.draws().size(), 1u);
    EXPECT_EQ(step.draws()[0].row, 3);
    EXPECT_EQ(step.draws()[0].position, 130);
    EXPECT_EQ(step.draws()[0].sample, 0);
    EXPECT_EQ(step.tokens()[129], 100 + 129);
    EXPECT_EQ(step.tokens()[130], 100);
    EXPECT_EQ(step.tiles()[0].first_token, 128) << "the most keys first";
    EXPECT_EQ(step.tiles()[1].first_token, 64);
    EXPECT_EQ(step.tiles()[2].sequence, 0);
    EXPECT_EQ(step.tiles()[3].sequence, 1);
    EXPECT_EQ(step.block_patches().size(), 3u + 1u);
  }
  StepBatch second;
  second.plan.items = {Decode(3, 130), Prefill(5, 10, 10, true)};
  packer.Pack(second, 0);
  const Unpacked step(packer);
  EXPECT_EQ(step.header.counts.num_decodes, 1);
  EXPECT_EQ(step.header.counts.max_decode_pages, 3);
  EXPECT_EQ(step.tokens()[0], -1 - 3) << "the row's last token";
  EXPECT_EQ(step.sequences()[1].first_token, 1);
  EXPECT_EQ(step.sequences()[1].first_position, 10);
  EXPECT_EQ(step.header.counts.num_prefill_tiles, 1);
  EXPECT_THAT(step.logits_tokens(), ElementsAre(0, 10));
  EXPECT_TRUE(step.row_patches().empty());
  EXPECT_TRUE(step.block_patches().empty()) << "nothing about these blocks is new";
}

TEST(StepUpload, RulesOfADrawTravelWithTheirRow) {
  StepPacker packer(8, 16);
  StepBatch batch;
  const auto request = Request(70);
  request->stop_token_ids = {5, 6};
  request->sampling.logit_bias = {{7, 1.5f}};
  request->sampling.seed = 99;
  batch.plan.rows = {Row(1, 0), Row(2, 1)};
  batch.row_requests = {request, request};
  batch.plan.items = {Prefill(1, 0, 70, true)};
  batch.plan.items[0].forks = {{.choice = 1, .row = 2}};
  batch.draw_rules = {{.row = 2, .mask_slot = 0}};
  packer.Pack(batch, 0);
  {
    const Unpacked step(packer);
    ASSERT_EQ(step.row_patches().size(), 2u) << "one for a row";
    EXPECT_EQ(step.row_patches()[0].sampling.mask_slot, -1);
    EXPECT_EQ(step.row_patches()[1].sampling.mask_slot, 0);
  }
  // A row that stays is sent again with its lists.
  StepBatch second;
  second.plan.items = {Decode(1, 70), Decode(2, 70)};
  second.draw_rules = {{.row = 2, .mask_slot = 3}, {.row = 1, .forced_token = 42}};
  packer.Pack(second, 1);
  {
    const Unpacked step(packer);
    ASSERT_EQ(step.row_patches().size(), 2u);
    const RowPatch masked = step.row_patches()[0], forced = step.row_patches()[1];
    EXPECT_EQ(masked.row, 2);
    EXPECT_EQ(masked.sampling.mask_slot, 3);
    EXPECT_EQ(masked.sampling.forced_token, -1);
    EXPECT_EQ(masked.sampling.seed, 99u);
    EXPECT_EQ(masked.sampling.choice, 1u);
    EXPECT_EQ(forced.row, 1);
    EXPECT_EQ(forced.sampling.forced_token, 42);
    EXPECT_EQ(forced.sampling.mask_slot, -1);
    EXPECT_THAT(step.Array<int32_t>(step.header.stop_tokens, 4), ElementsAre(5, 6, 5, 6));
    EXPECT_EQ(forced.first_stop_token, 2);
    EXPECT_EQ(forced.first_bias_entry, 1);
  }
  // Without a rule the row stays as it is.
  StepBatch third;
  third.plan.items = {Decode(1, 71)};
  packer.Pack(third, 0);
  EXPECT_TRUE(Unpacked(packer).row_patches().empty());
}

TEST(StepUpload, ForksDrawFromTheSameLogits) {
  StepPacker packer(8, 16);
  StepBatch batch;
  const auto request = Request(70);
  batch.plan.rows = {Row(1, 0), Row(2, 1), Row(4, 2)};
  batch.row_requests = {request, request, request};
  batch.plan.items = {Prefill(1, 0, 70, true)};
  batch.plan.items[0].forks = {{.row = 2}, {.row = 4}};
  packer.Pack(batch, 0);
  const Unpacked step(packer);
  ASSERT_EQ(step.draws().size(), 3u);
  for (int32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(step.draws()[i].logits_row, 0);
    EXPECT_EQ(step.draws()[i].sample, i);
    EXPECT_EQ(step.draws()[i].position, 70);
    EXPECT_EQ(step.row_patches()[i].sampling.choice, static_cast<uint32_t>(i));
  }
  EXPECT_EQ(packer.sizes().logits, 1);
}

TEST(StepUpload, RowsCarryTheRequestsParametersAndLists) {
  StepPacker packer(4, 16);
  StepBatch batch;
  const auto request = Request(9);
  request->sampling.temperature = 0.5f;
  request->sampling.min_p = 0.1f;
  request->sampling.top_k = 7;
  request->sampling.seed = 77;
  request->sampling.logit_bias = {{4, 1.5f}, {6, -2.0f}};
  request->sampling.presence_penalty = 1;
  request->stop_token_ids = {8, 9, 10};
  request->min_tokens = 3;
  request->logprobs = 6;
  batch.plan.rows = {Row(2, 0, {41, 42})};
  batch.row_requests = {request};
  batch.plan.items = {Prefill(2, 0, 9, true)};
  packer.Pack(batch, 0);
  const Unpacked step(packer);
  const RowPatch patch = step.row_patches().at(0);
  EXPECT_EQ(patch.row, 2);
  EXPECT_EQ(patch.sampling.inverse_temperature, 2);
  EXPECT_FLOAT_EQ(patch.sampling.log_min_p, std::log(0.1f));
  EXPECT_EQ(patch.sampling.top_k, 7);
  EXPECT_EQ(patch.sampling.seed, 77u);
  EXPECT_EQ(patch.sampling.forbid_stop_before, 12);
  EXPECT_EQ(patch.sampling.num_logprobs, 5);
  EXPECT_THAT(step.Array<int32_t>(step.header.stop_tokens, 3), ElementsAre(8, 9, 10));
  EXPECT_EQ(step.Array<BiasEntry>(step.header.bias_entries, 2)[1].token_id, 6);
  ASSERT_EQ(packer.counts_setups().size(), 1u);
  EXPECT_EQ(packer.counts_setups()[0].num_prompt, 9);
  EXPECT_EQ(packer.counts_setups()[0].num_generated, 2);
  EXPECT_EQ(packer.counts_ids().back(), 42);
  EXPECT_EQ(packer.tier(), SamplerTier::kFull);
}

TEST(StepUpload, StepTakesTheLowestTierOfItsDraws) {
  StepPacker packer(4, 16);
  StepBatch batch;
  const auto request = Request(5);
  request->stop_token_ids = {1};
  request->min_tokens = 2;
  batch.plan.rows = {Row(0)};
  batch.row_requests = {request};
  batch.plan.items = {Prefill(0, 0, 5, true)};
  packer.Pack(batch, 0);
  EXPECT_EQ(packer.tier(), SamplerTier::kFull) << "a stop token is forbidden";
  const auto decode = [&](int32_t position) {
    StepBatch next;
    next.plan.items = {Decode(0, position)};
    packer.Pack(next, 0);
    return packer.tier();
  };
  EXPECT_EQ(decode(5), SamplerTier::kFull);
  EXPECT_EQ(decode(6), SamplerTier::kPlain);
}

TEST(StepUpload, ScoresNameTheTokenThatFollows) {
  StepPacker packer(4, 16);
  StepBatch batch;
  const auto request = Request(20);
  request->prompt_logprobs = 4;
  batch.plan.rows = {Row(0)};
  batch.row_requests = {request};
  batch.plan.items = {Prefill(0, 8, 10, false)};
  batch.plan.items[0].score_begin = 10;
  batch.plan.items[0].score_end = 18;
  packer.Pack(batch, 0);
  ASSERT_EQ(packer.scores().size(), 8u);
  EXPECT_EQ(packer.scores()[0].token, 2);
  EXPECT_EQ(packer.scores()[0].target, 100 + 11);
  EXPECT_EQ(packer.max_score_top(), 3);
}

// A scheduler's own plans, with preemption, forks and prefix reuse: what the device would hold after each upload is
// what each plan says, and no upload is larger than its bound.
TEST(StepUpload, TablesOnTheDeviceFollowEveryPlan) {
  std::mt19937 random(7);
  const auto below = [&](int32_t bound) { return static_cast<int32_t>(random() % static_cast<uint32_t>(bound)); };
  constexpr int32_t kRows = 6, kPages = 8;
  SchedulerConfig config;
  config.num_blocks = 14;
  config.max_num_seqs = kRows;
  config.max_num_batched_tokens = 90;
  Scheduler scheduler(config);
  StepPacker packer(kRows, kPages);
  std::vector<int32_t> device(kRows * kPages, -7);
  std::map<uint64_t, std::shared_ptr<GenerationRequest>> requests;
  uint64_t last_id = 0;
  size_t patched = 0, named = 0;
  for (int step = 0; step < 3000; ++step) {
    if (below(4) == 0) {
      ScheduledRequest added;
      added.id = ++last_id;
      added.num_choices = 1 + below(3);
      added.max_tokens = 1 + below(100);
      for (int32_t i = 0, size = 1 + below(300); i < size; ++i)
        added.prompt_ids.push_back((7 * i + static_cast<int32_t>(last_id)) % 50);
      auto request = std::make_shared<GenerationRequest>();
      request->prompt_ids = added.prompt_ids;
      requests[added.id] = request;
      scheduler.Add(std::move(added));
    }
    StepBatch batch;
    batch.plan = scheduler.Plan(step);
    for (const StepPlan::Row& row : batch.plan.rows) batch.row_requests.push_back(requests.at(row.request));
    if (batch.plan.empty()) continue;
    packer.Pack(batch, 0);
    ASSERT_LE(packer.bytes(), StepPacker::MaxBytes({.tokens = 90, .prefill_tiles = 90 / 64 + kRows}, kRows, kPages));
    const Unpacked unpacked(packer);
    for (const BlockPatch& patch : unpacked.block_patches()) device[patch.row * kPages + patch.index] = patch.block;
    patched += unpacked.block_patches().size();
    std::vector<StepSample> samples;
    for (const StepPlan::Item& item : batch.plan.items) {
      named += item.block_ids.size();
      for (size_t i = 0; i < item.block_ids.size(); ++i) {
        ASSERT_EQ(device[item.row * kPages + i], item.block_ids[i]) << "step " << step << " row " << item.row;
      }
      for (size_t i = 0; i <= item.forks.size(); ++i) samples.push_back({.token_id = 1});
    }
    scheduler.Apply(batch.plan, samples);
    scheduler.TakeEvents();
  }
  EXPECT_GT(scheduler.num_preemptions(), 10u);
  EXPECT_LT(patched, named / 5) << "differences travel, not tables";
}

}  // namespace
}  // namespace swiftlet::cuda
