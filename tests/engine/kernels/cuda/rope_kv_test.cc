// What RopeKv writes, element by element, and that it writes nothing else.
#include <cmath>
#include <cstring>
#include <vector>

#include "tests/engine/kernels/cuda/attention_fixture.h"

namespace swiftlet::cuda {
namespace {

// What RopeKv should write, in float64, for head `head` of all heads of `token`.
std::vector<double> ExpectedHead(const AttentionShape& shape, const AttentionStep& step, int token, int head) {
  const int head_dim = shape.head_dim;
  const int all_heads = shape.num_heads + 2 * shape.num_kv_heads;
  const TransformData& transform = step.transform();
  std::vector<double> x(head_dim);
  double squares = 0;
  for (int i = 0; i < head_dim; ++i) {
    x[i] = __half2float(step.qkv()[(static_cast<int64_t>(token) * all_heads + head) * head_dim + i]);
    if (!transform.bias.empty()) x[i] += transform.bias[head * head_dim + i];
    squares += x[i] * x[i];
  }
  if (head >= shape.num_heads + shape.num_kv_heads) return x;
  const std::vector<float>& norm = head < shape.num_heads ? transform.query_norm : transform.key_norm;
  if (!norm.empty()) {
    for (int i = 0; i < head_dim; ++i) x[i] *= norm[i] / std::sqrt(squares / head_dim + TransformData::kNormEpsilon);
  }
  std::vector<double> rotated(head_dim);
  for (int i = 0; i < head_dim / 2; ++i) {
    const float2 two = transform.cos_sin[static_cast<int64_t>(step.positions()[token]) * (head_dim / 2) + i];
    rotated[i] = x[i] * two.x - x[i + head_dim / 2] * two.y;
    rotated[i + head_dim / 2] = x[i + head_dim / 2] * two.x + x[i] * two.y;
  }
  return rotated;
}

TEST_F(CudaAttention, RopeKvRotatesAndWritesItsPositionsOnly) {
  uint32_t seed = 800;
  for (const AttentionShape& shape : kShapes) {
    for (int variant = 0; variant < 4; ++variant) {
      AttentionStep step(
          device_, {shape, {1, 64, 65, 200}, {{0, 70}, {63, 3}}, 0, 6, seed++, (variant & 1) != 0, (variant & 2) != 0});
      const int all_heads = shape.num_heads + 2 * shape.num_kv_heads;
      const std::vector<__half> query_before = step.query();
      for (const bool all : {false, true}) {  // decodes are left out, or there are none
        RopeKvArgs args = step.RopeArgs();
        if (all) args.step = step.view_without_decodes();
        const absl::Status status = RopeKv(Context(kModes[0]), args);
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_TRUE(stream_.Synchronize().ok());
        std::vector<__half> query = Download<__half>(step.device_query(), static_cast<int64_t>(query_before.size()));
        std::vector<__half> cache = step.DownloadCache();
        std::vector<__half> untouched = step.cache(), untouched_query = query_before;
        int failures = 0;
        for (int token = all ? 0 : 4; token < step.num_tokens(); ++token) {
          const int position = step.positions()[token];
          for (int head = 0; head < all_heads; ++head) {
            const std::vector<double> want = ExpectedHead(shape, step, token, head);
            const int kv = head - shape.num_heads;
            const bool is_query = kv < 0;
            const bool value = kv >= shape.num_kv_heads;
            const int64_t at = is_query ? (static_cast<int64_t>(token) * shape.num_heads + head) * shape.head_dim
                                        : step.CacheIndex(step.token_rows()[token], position,
                                                          value ? kv - shape.num_kv_heads : kv, value);
            for (int i = 0; i < shape.head_dim; ++i) {
              __half& written = is_query ? query[at + i] : cache[at + i];
              const double got = __half2float(written);
              // Half a unit of float16's last place, and float32's error in sums of up to 20.
              if (!(std::abs(got - want[i]) <= std::abs(want[i]) * 4.9e-4 + 5e-6) && failures++ == 0) {
                ADD_FAILURE() << "heads " << shape.num_heads << "/" << shape.num_kv_heads << "/" << shape.head_dim
                              << " variant " << variant << " token " << token << " head " << head << " element " << i
                              << ": expected " << want[i] << ", got " << got;
              }
              written = is_query ? untouched_query[at + i] : untouched[at + i];
            }
          }
        }
        EXPECT_EQ(failures, 0);
        EXPECT_EQ(std::memcmp(cache.data(), untouched.data(), cache.size() * 2), 0) << "wrote elsewhere in the cache";
        EXPECT_EQ(std::memcmp(query.data(), untouched_query.data(), query.size() * 2), 0) << "wrote other queries";
      }
    }
  }
}

}  // namespace
}  // namespace swiftlet::cuda
