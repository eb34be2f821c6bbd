#include "engine/kernels/cuda/step.h"

#include <random>

#include "tests/engine/kernels/cuda/device_fixture.h"

namespace swiftlet::cuda {
namespace {

constexpr int kRows = 40, kTableStride = 7, kVocab = 1000;
constexpr int32_t kPoison = static_cast<int32_t>(0xa5a5a5a5);

class Step : public DeviceFixture {
 protected:
  // Appends a list to the upload; its offset in bytes.
  template <typename T>
  static int32_t Append(std::vector<std::byte>& upload, const std::vector<T>& values) {
    const size_t offset = (upload.size() + 15) / 16 * 16;
    upload.resize(offset + values.size() * sizeof(T));
    std::memcpy(upload.data() + offset, values.data(), values.size() * sizeof(T));
    return static_cast<int32_t>(offset);
  }
};

TEST_F(Step, BeginUnpacksWhatTheHostUploaded) {
  std::mt19937 random(3);
  for (const int num_prefills : {0, 1, 5}) {
    for (const int num_decodes : {0, 1, 30}) {
      for (const int prefill_tokens : {2, 700}) {
        SCOPED_TRACE(testing::Message() << num_prefills << " " << num_decodes << " " << prefill_tokens);
        StepUpload header = {};
        std::vector<int32_t> token_ids, positions, token_rows;
        std::vector<SequenceSpan> sequences;
        std::vector<int32_t> last_tokens(kRows);
        for (int32_t& token : last_tokens) token = static_cast<int32_t>(random() % kVocab);
        std::vector<int32_t> expected_ids;
        for (int i = 0; i < num_decodes + num_prefills; ++i) {
          const int tokens = i < num_decodes ? 1 : prefill_tokens + i;
          const auto first = static_cast<int32_t>(token_ids.size());
          sequences.push_back({first, tokens, static_cast<int32_t>(random() % 5000), kRows - 1 - i});
          for (int k = 0; k < tokens; ++k) {
            const bool last = i < num_decodes && i % 3 != 1;
            token_ids.push_back(last ? -1 - (kRows - 1 - i) : static_cast<int32_t>(random() % kVocab));
            expected_ids.push_back(last ? last_tokens[kRows - 1 - i] : token_ids.back());
            positions.push_back(sequences.back().first_position + k);
            token_rows.push_back(kRows - 1 - i);
          }
        }
        const auto num_tokens = static_cast<int32_t>(token_ids.size());
        const int max_tokens = num_tokens + 13, max_logits = 9;
        std::vector<PrefillTile> tiles;
        for (int i = num_decodes; i < num_decodes + num_prefills; ++i) tiles.push_back({i, 64});
        std::vector<int32_t> logits_tokens = {num_tokens - 1, 0, 3};
        if (num_tokens == 0) logits_tokens.clear();
        std::vector<Draw> draws = {{0, 5, 17, 1}, {0, 6, 18, 0}};
        std::vector<BlockPatch> block_patches = {{0, 0, 11}, {39, 6, 12}, {5, 3, 13}};
        std::vector<int32_t> stop_tokens = {9, 8, 7, 6};
        std::vector<BiasEntry> bias = {{1, 0.5f}, {2, -100.0f}, {3, 2.0f}};
        std::vector<RowPatch> row_patches(3);
        for (int i = 0; i < 3; ++i) {
          row_patches[i].row = 10 * i + 1;
          row_patches[i].sampling = {};
          row_patches[i].sampling.seed = 0x1234567890 + static_cast<uint64_t>(i);
          row_patches[i].sampling.forced_token = 77 + i;
          row_patches[i].sampling.mask_slot = -1;
        }
        row_patches[0].first_stop_token = 0;
        row_patches[0].sampling.num_stop_tokens = 1;
        row_patches[1].first_stop_token = 1;
        row_patches[1].sampling.num_stop_tokens = 3;
        row_patches[2].first_bias_entry = 1;
        row_patches[2].sampling.num_bias_entries = 2;

        header.counts = {num_tokens,
                         num_decodes + num_prefills,
                         num_decodes,
                         static_cast<int32_t>(tiles.size()),
                         static_cast<int32_t>(logits_tokens.size()),
                         static_cast<int32_t>(draws.size()),
                         4,
                         2};
        header.num_block_patches = static_cast<int32_t>(block_patches.size());
        header.num_row_patches = static_cast<int32_t>(row_patches.size());
        std::vector<std::byte> upload(sizeof(StepUpload));
        header.token_ids = Append(upload, token_ids);
        header.sequences = Append(upload, sequences);
        header.prefill_tiles = Append(upload, tiles);
        header.logits_tokens = Append(upload, logits_tokens);
        header.draws = Append(upload, draws);
        header.block_patches = Append(upload, block_patches);
        header.row_patches = Append(upload, row_patches);
        header.stop_tokens = Append(upload, stop_tokens);
        header.bias_entries = Append(upload, bias);
        std::memcpy(upload.data(), &header, sizeof(header));

        const DeviceBuffer device_upload = Upload(upload), device_last = Upload(last_tokens);
        const DeviceBuffer counts = Poisoned(sizeof(StepCounts)), ids = Poisoned(4 * max_tokens),
                           device_positions = Poisoned(4 * max_tokens), rows = Poisoned(4 * max_tokens),
                           spans = Poisoned(sizeof(SequenceSpan) * 64),
                           device_tiles = Poisoned(sizeof(PrefillTile) * 64), device_logits = Poisoned(4 * 64),
                           device_draws = Poisoned(sizeof(Draw) * 64), tables = Poisoned(4 * kRows * kTableStride),
                           sampling = Poisoned(sizeof(SamplingRow) * kRows), done = Poisoned(4 * kRows),
                           stops = Poisoned(4 * kRows * kMaxStopTokens),
                           device_bias = Poisoned(sizeof(BiasEntry) * kRows * kMaxBiasEntries);
        BeginStepArgs args;
        args.upload = device_upload.as<StepUpload>();
        args.step = {counts.as<StepCounts>(),        ids.as<int32_t>(),
                     device_positions.as<int32_t>(), rows.as<int32_t>(),
                     spans.as<SequenceSpan>(),       device_tiles.as<PrefillTile>(),
                     device_logits.as<int32_t>(),    device_draws.as<Draw>(),
                     tables.as<int32_t>(),           kTableStride};
        args.rows.sampling = sampling.as<SamplingRow>();
        args.rows.last_tokens = device_last.as<int32_t>();
        args.rows.done = done.as<int32_t>();
        args.rows.stop_tokens = stops.as<int32_t>();
        args.rows.bias = device_bias.as<BiasEntry>();
        args.max_tokens = max_tokens;
        args.max_logits = max_logits;
        const absl::Status status = BeginStep(Context(), args);
        ASSERT_TRUE(status.ok()) << status.ToString();

        const auto padded = [&](std::vector<int32_t> values, int32_t padding) {
          values.resize(max_tokens, padding);
          return values;
        };
        EXPECT_EQ(Download<int32_t>(ids, max_tokens), padded(expected_ids, 0));
        EXPECT_EQ(Download<int32_t>(device_positions, max_tokens), padded(positions, 0));
        EXPECT_EQ(Download<int32_t>(rows, max_tokens), padded(token_rows, -1));
        const StepCounts found_counts = Download<StepCounts>(counts, 1)[0];
        EXPECT_EQ(std::memcmp(&found_counts, &header.counts, sizeof(StepCounts)), 0);
        const auto found_spans = Download<SequenceSpan>(spans, sequences.size());
        EXPECT_EQ(std::memcmp(found_spans.data(), sequences.data(), sequences.size() * sizeof(SequenceSpan)), 0);
        const auto found_tiles = Download<PrefillTile>(device_tiles, tiles.size());
        EXPECT_EQ(std::memcmp(found_tiles.data(), tiles.data(), tiles.size() * sizeof(PrefillTile)), 0);
        const auto found_draws = Download<Draw>(device_draws, draws.size());
        EXPECT_EQ(std::memcmp(found_draws.data(), draws.data(), draws.size() * sizeof(Draw)), 0);
        std::vector<int32_t> expected_logits = logits_tokens;
        expected_logits.resize(max_logits, 0);
        expected_logits.push_back(kPoison);
        EXPECT_EQ(Download<int32_t>(device_logits, max_logits + 1), expected_logits);
        std::vector<int32_t> expected_tables(kRows * kTableStride, kPoison);
        for (const BlockPatch& patch : block_patches)
          expected_tables[patch.row * kTableStride + patch.index] = patch.block;
        EXPECT_EQ(Download<int32_t>(tables, expected_tables.size()), expected_tables);
        EXPECT_EQ(Download<int32_t>(device_last, kRows), last_tokens) << "a row's patch leaves its last token";
        std::vector<int32_t> expected_done(kRows, kPoison), expected_stops(kRows * kMaxStopTokens, kPoison);
        const auto found_sampling = Download<SamplingRow>(sampling, kRows);
        for (const RowPatch& patch : row_patches) {
          expected_done[patch.row] = 0;
          for (int k = 0; k < patch.sampling.num_stop_tokens; ++k) {
            expected_stops[patch.row * kMaxStopTokens + k] = stop_tokens[patch.first_stop_token + k];
          }
          EXPECT_EQ(std::memcmp(&found_sampling[patch.row], &patch.sampling, sizeof(SamplingRow)), 0);
        }
        EXPECT_EQ(found_sampling[2].top_k, kPoison);
        EXPECT_EQ(Download<int32_t>(done, kRows), expected_done);
        EXPECT_EQ(Download<int32_t>(stops, expected_stops.size()), expected_stops);
        const auto found_bias = Download<BiasEntry>(device_bias, size_t{kRows} * kMaxBiasEntries);
        for (int row = 0; row < kRows; ++row) {
          const BiasEntry* const entries = found_bias.data() + size_t(row) * kMaxBiasEntries;
          EXPECT_EQ(entries[0].token_id, row == 21 ? 2 : kPoison);
          EXPECT_EQ(entries[1].token_id, row == 21 ? 3 : kPoison);
          EXPECT_EQ(entries[2].token_id, kPoison);
        }
      }
    }
  }
}

TEST_F(Step, InitCountsTellsPromptFromGenerated) {
  const std::vector<int32_t> ids = {5, 999, 5, 0, 7, 5, 7, 7, 8};  // the first four are the prompt
  const DeviceBuffer counts = Poisoned(4 * kVocab), device_ids = Upload(ids);
  for (const int generated : {5, 0}) {
    InitCountsArgs args = {counts.as<uint32_t>(), kVocab, device_ids.as<int32_t>(), 4, generated};
    ASSERT_TRUE(InitCounts(Context(), args).ok());
    std::vector<uint32_t> expected(kVocab, 0);
    for (int i = 0; i < 4; ++i) expected[ids[i]] |= 0x80000000u;
    for (int i = 4; i < 4 + generated; ++i) ++expected[ids[i]];
    EXPECT_EQ(Download<uint32_t>(counts, kVocab), expected);
  }
}

}  // namespace
}  // namespace swiftlet::cuda
