// A step for the attention kernels with random data, on host and device, and the float64 results it should have.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <random>
#include <vector>

#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/kernels/cuda/attention.h"
#include "tests/engine/kernels/cuda/device_fixture.h"

namespace swiftlet::cuda {

inline constexpr int kPageTokens = 64;

// A sequence of the step: `num_tokens` new tokens from `first_position` on.
struct SequenceCase {
  int first_position = 0;
  int num_tokens = 1;
};

struct StepCase {
  AttentionShape shape;
  std::vector<int> decode_lengths;  // tokens in the cache, the new one included
  std::vector<SequenceCase> prefills;
  int padding_sequences = 0;  // capacities beyond the true counts
  int padding_tokens = 0;
  uint32_t seed = 1;
  bool bias = true;   // of queries, keys and values
  bool norm = false;  // of queries and keys
};

std::vector<__half> RandomHalves(int64_t count, float scale, std::mt19937& generator);

// What is done to the heads, with random weights, on host and device.
struct TransformData {
  TransformData(const StepCase& step_case, int max_positions);
  HeadTransform View() const;

  std::vector<float> bias, query_norm, key_norm;  // empty = none
  std::vector<float2> cos_sin;
  static constexpr float kNormEpsilon = 1e-6f;

 private:
  DeviceBuffer device_bias_, device_query_norm_, device_key_norm_, device_cos_sin_;
};

// The host's side of a StepCase and its copy on the device. Everything in the cache that belongs to no sequence, pages
// and the rest of last pages, is NaN; so are the outputs; tables point beyond their sequence at a page of NaN.
class AttentionStep {
 public:
  AttentionStep(const Device& device, const StepCase& step_case);

  AttentionArgs Args();
  DecodeAttentionArgs DecodeArgs();
  RopeKvArgs RopeArgs();
  const StepView& view() const { return view_; }
  // Every token as one of a prefill: RopeKv does them all.
  StepView view_without_decodes() const;

  // RopeKv over every token: the host's queries and cache become what it wrote. On the device decodes have neither:
  // their queries, and their newest keys and values, are NaN there.
  void TransformHeads(const LaunchContext& context);
  // Whether the device's cache is, bit for bit, the host's.
  void ExpectCache(const char* label) const;
  int num_tokens() const { return num_tokens_; }
  int max_tokens() const { return num_tokens_ + case_.padding_tokens; }
  int max_sequences() const { return static_cast<int>(case_.decode_lengths.size()) + case_.padding_sequences; }
  int max_pages() const { return table_stride_; }
  int max_tiles() const { return static_cast<int>(tiles_.size()) + case_.padding_sequences; }
  int64_t page_stride() const { return page_stride_; }
  const std::vector<SequenceSpan>& spans() const { return spans_; }
  const std::vector<int32_t>& positions() const { return positions_; }
  const std::vector<int32_t>& token_rows() const { return token_rows_; }

  // Of the host's copy; the device's follows with UploadCache.
  std::vector<__half>& cache() { return cache_; }
  void UploadCache();
  std::vector<__half> DownloadCache() const { return Download<__half>(device_cache_, cache_.size()); }
  // Element of the cache where a key (value) begins.
  int64_t CacheIndex(int row, int position, int kv_head, bool value) const;

  void PoisonOutput();
  // softmax(q k^T / sqrt(d)) v in float64 from the host's copies, of each sequence's last token and every
  // `row_stride`th.
  void ComputeExpected(int row_stride);
  // Compares with what ComputeExpected found; prints the first that differs; no row may have NaN, and those beyond
  // num_tokens must not have been written. Rows of decodes or of prefills.
  void ExpectOutput(const char* label, bool decodes) const;
  std::vector<__half> Output() const { return Download<__half>(output_, query_.size()); }
  const std::vector<__half>& query() const { return query_; }
  const TransformData& transform() const { return transform_; }
  const std::vector<__half>& qkv() const { return qkv_; }
  DeviceBuffer& device_query() { return device_query_; }
  DeviceBuffer& device_qkv() { return device_qkv_; }
  DeviceBuffer& device_cache() { return device_cache_; }
  DeviceBuffer& scratch() { return scratch_; }

 private:
  StepCase case_;
  int num_tokens_ = 0;
  int table_stride_ = 0;
  int64_t page_stride_ = 0;
  StepCounts counts_ = {};
  std::vector<SequenceSpan> spans_;
  std::vector<int32_t> positions_, token_rows_, tables_;
  std::vector<PrefillTile> tiles_;
  TransformData transform_;
  std::vector<__half> query_, qkv_, cache_;
  std::vector<std::vector<double>> expected_;  // [tokens][heads * head_dim], empty where not computed
  DeviceBuffer device_counts_, device_counts_without_decodes_, device_spans_, device_positions_, device_rows_,
      device_tables_, device_tiles_;
  DeviceBuffer device_query_, device_qkv_, device_cache_, output_, scratch_;
  StepView view_ = {};
};

}  // namespace swiftlet::cuda
