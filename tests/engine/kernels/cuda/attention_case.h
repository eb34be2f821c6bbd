// A step for the attention kernels with random data, on host and device, and the float64 results it should have.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <random>
#include <vector>

#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/kernels/cuda/attention.h"

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
};

// Copies to and from the device; a failed call fails the test.
template <typename T>
DeviceBuffer Upload(const std::vector<T>& values);
template <typename T>
std::vector<T> Download(const DeviceBuffer& buffer, int64_t count);

std::vector<__half> RandomHalves(int64_t count, float scale, std::mt19937& generator);

// The host's side of a StepCase and its copy on the device. Everything in the cache that belongs to no sequence, pages
// and the rest of last pages, is NaN; so are the outputs; tables point beyond their sequence at a page of NaN.
class AttentionStep {
 public:
  explicit AttentionStep(const StepCase& step_case);

  AttentionArgs Args();
  const StepView& view() const { return view_; }
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
  void set_query(std::vector<__half> query) { query_ = std::move(query); }
  DeviceBuffer& device_query() { return device_query_; }
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
  std::vector<__half> query_, cache_;
  std::vector<std::vector<double>> expected_;  // [tokens][heads * head_dim], empty where not computed
  DeviceBuffer device_counts_, device_spans_, device_positions_, device_rows_, device_tables_, device_tiles_;
  DeviceBuffer device_query_, device_cache_, output_, scratch_;
  StepView view_ = {};
};

// The device for all tests of the program; null where there is none.
const Device* TestDevice();

}  // namespace swiftlet::cuda

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

namespace swiftlet::cuda {

template <typename T>
DeviceBuffer Upload(const std::vector<T>& values) {
  auto buffer = DeviceBuffer::Allocate(std::max<size_t>(16, values.size() * sizeof(T)));
  if (!buffer.ok()) {
    ADD_FAILURE() << buffer.status();
    return {};
  }
  EXPECT_EQ(cudaMemcpy(buffer->data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);  // the copy of pageable memory may still be on its way
  return *std::move(buffer);
}

template <typename T>
std::vector<T> Download(const DeviceBuffer& buffer, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  EXPECT_EQ(cudaMemcpy(values.data(), buffer.data(), values.size() * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
  return values;
}

}  // namespace swiftlet::cuda
