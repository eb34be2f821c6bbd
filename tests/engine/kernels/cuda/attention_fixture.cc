#include "tests/engine/kernels/cuda/attention_fixture.h"

#include <algorithm>
#include <string>
#include <vector>

namespace swiftlet::cuda {

void CudaAttention::Check(const StepCase& step_case, int row_stride) {
  AttentionStep step(device_, step_case);
  step.TransformHeads(Context(kModes[0]));
  step.ComputeExpected(row_stride);
  const std::vector<__half> before = step.DownloadCache();
  for (const AttentionMode& mode : kModes) {
    std::vector<__half> first;
    step.device_cache() = Upload(before);
    for (int run = 0; run < 2; ++run) {
      step.PoisonOutput();
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const absl::Status plan = PlanDecodeAttention(Context(mode), step.DecodeArgs());
      ASSERT_TRUE(plan.ok()) << plan;
      // As in a step of the engine: a kernel that waits before it releases. It has nothing to do but what it did.
      const absl::Status rope = RopeKv(Context(mode), step.RopeArgs());
      ASSERT_TRUE(rope.ok()) << rope;
      const absl::Status decode = DecodeAttention(Context(mode), step.DecodeArgs());
      ASSERT_TRUE(decode.ok()) << decode;
      const absl::Status prefill = PrefillAttention(Context(mode), step.Args(), step.max_tiles());
      ASSERT_TRUE(prefill.ok()) << prefill;
      const absl::Status done = stream_.Synchronize();
      ASSERT_TRUE(done.ok()) << done;
      const std::vector<__half> output = step.Output();
      if (run == 0) {
        first = output;
      } else {
        int64_t differences = 0, at = -1;
        for (size_t i = 0; i < output.size(); ++i) {
          if (static_cast<__half_raw>(first[i]).x == static_cast<__half_raw>(output[i]).x) continue;
          if (differences++ == 0) at = static_cast<int64_t>(i);
        }
        const int row = step_case.shape.num_heads * step_case.shape.head_dim;
        EXPECT_EQ(differences, 0) << mode.name << ": two runs differ, heads " << step_case.shape.num_heads << "/"
                                  << step_case.shape.num_kv_heads << "/" << step_case.shape.head_dim << " seed "
                                  << step_case.seed << " first at token " << at / row << " element " << at % row << ": "
                                  << __half2float(first[std::max<int64_t>(at, 0)]) << ", then "
                                  << __half2float(output[std::max<int64_t>(at, 0)]);
      }
    }
    step.ExpectCache(mode.name);
    step.ExpectOutput((std::string(mode.name) + " decode").c_str(), true);
    step.ExpectOutput((std::string(mode.name) + " prefill").c_str(), false);
  }
}

}  // namespace swiftlet::cuda
