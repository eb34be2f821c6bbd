#include "tests/engine/kernels/cuda/attention_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

namespace swiftlet::cuda {
namespace {

const __half kPoison = __float2half(std::numeric_limits<float>::quiet_NaN());

uint16_t Bits(__half value) {
  return static_cast<__half_raw>(value).x;
}

}  // namespace

std::vector<__half> RandomHalves(int64_t count, float scale, std::mt19937& generator) {
  std::vector<__half> values(static_cast<size_t>(count));
  uint64_t state = (static_cast<uint64_t>(generator()) << 32) | 1;
  for (__half& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = __float2half((static_cast<float>(state >> 40) / 8388608.0f - 1.0f) * scale);
  }
  return values;
}

TransformData::TransformData(const StepCase& step_case, int max_positions) {
  const AttentionShape& shape = step_case.shape;
  std::mt19937 generator(9);
  std::uniform_real_distribution<float> uniform(-2, 2);
  const auto fill = [&](bool wanted, std::vector<float>& values, int count, DeviceBuffer& buffer) {
    if (wanted) values.resize(count);
    for (float& value : values) value = uniform(generator);
    buffer = Upload(values);
  };
  fill(step_case.bias, bias, (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim, device_bias_);
  fill(step_case.norm, query_norm, shape.head_dim, device_query_norm_);
  fill(step_case.norm, key_norm, shape.head_dim, device_key_norm_);
  for (int position = 0; position < max_positions; ++position) {
    for (int i = 0; i < shape.head_dim / 2; ++i) {
      const double angle = position / std::pow(10000.0, 2.0 * i / shape.head_dim);
      cos_sin.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
    }
  }
  device_cos_sin_ = Upload(cos_sin);
}

HeadTransform TransformData::View() const {
  HeadTransform view;
  if (!bias.empty()) view.bias = device_bias_.as<float>();
  if (!query_norm.empty()) view.query_norm = device_query_norm_.as<float>();
  if (!key_norm.empty()) view.key_norm = device_key_norm_.as<float>();
  view.norm_epsilon = kNormEpsilon;
  view.cos_sin = device_cos_sin_.as<float2>();
  return view;
}

namespace {

int LongestSequence(const StepCase& step_case) {
  int longest = 1;
  for (int length : step_case.decode_lengths) longest = std::max(longest, length);
  for (const SequenceCase& sequence : step_case.prefills) {
    longest = std::max(longest, sequence.first_position + sequence.num_tokens);
  }
  return longest;
}

}  // namespace

AttentionStep::AttentionStep(const Device& device, const StepCase& step_case)
    : case_(step_case), transform_(step_case, LongestSequence(step_case)) {
  std::mt19937 generator(case_.seed);
  const AttentionShape& shape = case_.shape;
  page_stride_ = static_cast<int64_t>(shape.num_kv_heads) * 2 * kPageTokens * shape.head_dim;
  std::vector<SequenceCase> sequences;
  for (int length : case_.decode_lengths) sequences.push_back({length - 1, 1});
  sequences.insert(sequences.end(), case_.prefills.begin(), case_.prefills.end());

  const int num_rows = static_cast<int>(sequences.size()) + 3;
  std::vector<int> rows(num_rows);
  std::iota(rows.begin(), rows.end(), 0);
  std::shuffle(rows.begin(), rows.end(), generator);
  int num_pages = 1;  // page 0 belongs to nobody
  for (const SequenceCase& sequence : sequences) {
    const int pages = (sequence.first_position + sequence.num_tokens + kPageTokens - 1) / kPageTokens;
    num_pages += pages;
    table_stride_ = std::max(table_stride_, pages + 1);
  }
  num_pages += 3;
  std::vector<int> pages(num_pages - 1);
  std::iota(pages.begin(), pages.end(), 1);
  std::shuffle(pages.begin(), pages.end(), generator);
  tables_.assign(static_cast<size_t>(num_rows) * table_stride_, 0);
  cache_.assign(static_cast<size_t>(num_pages * page_stride_), kPoison);

  counts_.num_decodes = static_cast<int32_t>(case_.decode_lengths.size());
  counts_.num_sequences = static_cast<int32_t>(sequences.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    const SequenceCase& sequence = sequences[i];
    const int row = rows[i];
    const int length = sequence.first_position + sequence.num_tokens;
    for (int page = 0; page * kPageTokens < length; ++page) {
      tables_[row * table_stride_ + page] = pages.back();
      pages.pop_back();
    }
    spans_.push_back({num_tokens_, sequence.num_tokens, sequence.first_position, row});
    for (int token = 0; token < sequence.num_tokens; ++token) {
      positions_.push_back(sequence.first_position + token);
      token_rows_.push_back(row);
    }
    num_tokens_ += sequence.num_tokens;
    if (static_cast<int>(i) >= counts_.num_decodes) {
      for (int token = 0; token < sequence.num_tokens; token += kPrefillTileTokens) {
        tiles_.push_back({static_cast<int32_t>(i), token});
      }
    } else {
      counts_.max_decode_pages = std::max(counts_.max_decode_pages, (length + kPageTokens - 1) / kPageTokens);
    }
    // A sequence's data depend on its index alone, not on what else is in the step.
    std::mt19937 data(case_.seed * 1000 + static_cast<uint32_t>(i));
    for (int kv_head = 0; kv_head < shape.num_kv_heads; ++kv_head) {
      const std::vector<__half> keys = RandomHalves(static_cast<int64_t>(length) * shape.head_dim, 2, data);
      const std::vector<__half> values = RandomHalves(static_cast<int64_t>(length) * shape.head_dim, 1, data);
      for (int position = 0; position < length; ++position) {
        const auto at = static_cast<int64_t>(position) * shape.head_dim;
        std::copy_n(keys.begin() + at, shape.head_dim, cache_.begin() + CacheIndex(row, position, kv_head, false));
        std::copy_n(values.begin() + at, shape.head_dim, cache_.begin() + CacheIndex(row, position, kv_head, true));
      }
    }
  }
  counts_.num_tokens = num_tokens_;
  counts_.num_prefill_tiles = static_cast<int32_t>(tiles_.size());
  positions_.resize(max_tokens(), 0);
  token_rows_.resize(max_tokens(), -1);
  const int64_t row_elements = static_cast<int64_t>(shape.num_heads) * shape.head_dim;
  query_ = RandomHalves(max_tokens() * row_elements, 3, generator);
  qkv_ = RandomHalves(static_cast<int64_t>(max_tokens()) * (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim,
                      2, generator);

  device_counts_ = Upload(std::vector<StepCounts>{counts_});
  StepCounts without_decodes = counts_;
  without_decodes.num_decodes = 0;
  device_counts_without_decodes_ = Upload(std::vector<StepCounts>{without_decodes});
  device_qkv_ = Upload(qkv_);
  device_spans_ = Upload(spans_);
  device_positions_ = Upload(positions_);
  device_rows_ = Upload(token_rows_);
  device_tables_ = Upload(tables_);
  device_tiles_ = Upload(tiles_);
  device_query_ = Upload(query_);
  device_cache_ = Upload(cache_);
  output_ = Upload(std::vector<__half>(query_.size(), kPoison));
  const int64_t scratch_bytes = AttentionScratchBytes(device, shape, max_sequences());
  scratch_ = Upload(std::vector<char>(static_cast<size_t>(scratch_bytes), -1));
  view_.counts = device_counts_.as<StepCounts>();
  view_.positions = device_positions_.as<int32_t>();
  view_.token_rows = device_rows_.as<int32_t>();
  view_.sequences = device_spans_.as<SequenceSpan>();
  view_.prefill_tiles = device_tiles_.as<PrefillTile>();
  view_.block_tables = device_tables_.as<int32_t>();
  view_.block_table_stride = table_stride_;
}

AttentionArgs AttentionStep::Args() {
  AttentionArgs args;
  args.shape = case_.shape;
  args.query = device_query_.as<__half>();
  args.step = view_;
  args.kv = {device_cache_.as<__half>(), page_stride_};
  args.num_tokens = max_tokens();
  args.output = output_.as<__half>();
  return args;
}

DecodeAttentionArgs AttentionStep::DecodeArgs() {
  DecodeAttentionArgs args;
  args.shape = case_.shape;
  args.qkv = device_qkv_.as<__half>();
  args.transform = transform_.View();
  args.step = view_;
  args.kv = {device_cache_.as<__half>(), page_stride_};
  args.output = output_.as<__half>();
  args.scratch = scratch_.data();
  args.max_sequences = max_sequences();
  args.max_pages = max_pages();
  args.prefill_follows = !case_.prefills.empty();
  return args;
}

RopeKvArgs AttentionStep::RopeArgs() {
  RopeKvArgs args;
  args.shape = case_.shape;
  args.qkv = device_qkv_.as<__half>();
  args.transform = transform_.View();
  args.step = view_;
  args.num_tokens = max_tokens();
  args.kv = {device_cache_.as<__half>(), page_stride_};
  args.query = device_query_.as<__half>();
  return args;
}

StepView AttentionStep::view_without_decodes() const {
  StepView view = view_;
  view.counts = device_counts_without_decodes_.as<StepCounts>();
  return view;
}

void AttentionStep::TransformHeads(const LaunchContext& context) {
  RopeKvArgs args = RopeArgs();
  args.step = view_without_decodes();
  const absl::Status status = RopeKv(context, args);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(cudaStreamSynchronize(context.stream), cudaSuccess);
  query_ = Download<__half>(device_query_, static_cast<int64_t>(query_.size()));
  cache_ = DownloadCache();
  std::vector<__half> device_query = query_;
  std::vector<__half> device_cache = cache_;
  for (int i = 0; i < counts_.num_decodes; ++i) {
    const SequenceSpan& span = spans_[i];
    const int64_t row_elements = static_cast<int64_t>(case_.shape.num_heads) * case_.shape.head_dim;
    std::fill_n(device_query.begin() + span.first_token * row_elements, row_elements, kPoison);
    for (int head = 0; head < 2 * case_.shape.num_kv_heads; ++head) {
      std::fill_n(device_cache.begin() + CacheIndex(span.row, span.first_position, head / 2, head % 2 != 0),
                  case_.shape.head_dim, kPoison);
    }
  }
  device_query_ = Upload(device_query);
  device_cache_ = Upload(device_cache);
}

void AttentionStep::ExpectCache(const char* label) const {
  const std::vector<__half> cache = DownloadCache();
  int64_t differences = 0, first = -1;
  for (size_t i = 0; i < cache.size(); ++i) {
    if (Bits(cache[i]) != Bits(cache_[i]) && differences++ == 0) first = static_cast<int64_t>(i);
  }
  EXPECT_EQ(differences, 0) << label << ": cache, heads " << case_.shape.num_heads << "/" << case_.shape.num_kv_heads
                            << "/" << case_.shape.head_dim << " seed " << case_.seed << "; first at page "
                            << first / page_stride_ << " element " << first % page_stride_;
}

void AttentionStep::UploadCache() {
  device_cache_ = Upload(cache_);
}

int64_t AttentionStep::CacheIndex(int row, int position, int kv_head, bool value) const {
  const int64_t page = tables_[row * table_stride_ + position / kPageTokens];
  return page * page_stride_ +
         (static_cast<int64_t>(2 * kv_head + (value ? 1 : 0)) * kPageTokens + position % kPageTokens) *
             case_.shape.head_dim;
}

void AttentionStep::PoisonOutput() {
  output_ = Upload(std::vector<__half>(query_.size(), kPoison));
}

void AttentionStep::ComputeExpected(int row_stride) {
  const AttentionShape& shape = case_.shape;
  const int head_dim = shape.head_dim;
  const int group = shape.num_heads / shape.num_kv_heads;
  const int64_t row_elements = static_cast<int64_t>(shape.num_heads) * head_dim;
  expected_.assign(static_cast<size_t>(num_tokens_), {});
  std::vector<float> query(head_dim), keys, values;
  std::vector<double> scores;
  for (const SequenceSpan& span : spans_) {
    const int length = span.first_position + span.num_tokens;
    for (int kv_head = 0; kv_head < shape.num_kv_heads; ++kv_head) {
      keys.resize(static_cast<size_t>(length) * head_dim);
      values.resize(keys.size());
      for (int position = 0; position < length; ++position) {
        const int64_t key_at = CacheIndex(span.row, position, kv_head, false);
        const int64_t value_at = CacheIndex(span.row, position, kv_head, true);
        for (int dim = 0; dim < head_dim; ++dim) {
          keys[position * head_dim + dim] = __half2float(cache_[key_at + dim]);
          values[position * head_dim + dim] = __half2float(cache_[value_at + dim]);
        }
      }
      for (int offset = 0; offset < span.num_tokens; ++offset) {
        if (offset % row_stride != 0 && offset + 1 != span.num_tokens) continue;
        const int token = span.first_token + offset;
        const int num_keys = span.first_position + offset + 1;
        expected_[token].resize(static_cast<size_t>(row_elements));
        for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          for (int dim = 0; dim < head_dim; ++dim) {
            query[dim] = __half2float(query_[token * row_elements + head * head_dim + dim]);
          }
          scores.resize(num_keys);
          double maximum = -1e300;
          for (int key = 0; key < num_keys; ++key) {
            double dot = 0;
            for (int dim = 0; dim < head_dim; ++dim) {
              dot += static_cast<double>(query[dim]) * static_cast<double>(keys[key * head_dim + dim]);
            }
            scores[key] = dot / std::sqrt(static_cast<double>(head_dim));
            maximum = std::max(maximum, scores[key]);
          }
          double* expected = expected_[token].data() + head * head_dim;
          double sum = 0;
          for (int key = 0; key < num_keys; ++key) {
            const double weight = std::exp(scores[key] - maximum);
            sum += weight;
            for (int dim = 0; dim < head_dim; ++dim) {
              expected[dim] += weight * static_cast<double>(values[key * head_dim + dim]);
            }
          }
          for (int dim = 0; dim < head_dim; ++dim) expected[dim] /= sum;
        }
      }
    }
  }
}

void AttentionStep::ExpectOutput(const char* label, bool decodes) const {
  const std::vector<__half> output = Output();
  const AttentionShape& shape = case_.shape;
  const int64_t row_elements = static_cast<int64_t>(shape.num_heads) * shape.head_dim;
  double squared_error = 0, squared = 0;
  int failures = 0;
  std::string first;
  for (int token = 0; token < num_tokens_; ++token) {
    if ((token < counts_.num_decodes) != decodes) continue;
    for (int64_t i = 0; i < row_elements; ++i) {
      const double got = __half2float(output[token * row_elements + i]);
      const bool known = !expected_[token].empty();
      const double want = known ? expected_[token][i] : got;
      squared += want * want;
      if (!std::isnan(got)) squared_error += (want - got) * (want - got);
      if (!(std::abs(want - got) <= 1.5e-3 + 2e-3 * std::abs(want)) && failures++ == 0) {
        first = "token " + std::to_string(token) + " (position " + std::to_string(positions_[token]) + ") head " +
                std::to_string(i / shape.head_dim) + " dim " + std::to_string(i % shape.head_dim) + ": expected " +
                std::to_string(want) + ", got " + std::to_string(got);
      }
    }
  }
  for (int64_t i = num_tokens_ * row_elements; i < static_cast<int64_t>(output.size()); ++i) {
    if (Bits(output[i]) != Bits(kPoison) && failures++ == 0) first = "padding was written at " + std::to_string(i);
  }
  EXPECT_EQ(failures, 0) << label << " heads " << shape.num_heads << "/" << shape.num_kv_heads << "/" << shape.head_dim
                         << " seed " << case_.seed << "; first: " << first;
  EXPECT_LE(std::sqrt(squared_error), 1.5e-3 * std::sqrt(squared)) << label;
}

}  // namespace swiftlet::cuda
