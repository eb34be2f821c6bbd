// Attention of the CUDA backend against float64 on the host, in every mode: the fixture of its tests.
#pragma once

#include "engine/kernels/cuda/attention.h"
#include "tests/engine/kernels/cuda/attention_case.h"
#include "tests/engine/kernels/cuda/device_fixture.h"

namespace swiftlet::cuda {

struct AttentionMode {
  const char* name;
  bool generic, deterministic;
};
inline constexpr AttentionMode kModes[] = {{"best", false, false},
                                           {"best deterministic", false, true},
                                           {"generic", true, false},
                                           {"generic deterministic", true, true}};

inline constexpr AttentionShape kShapes[] = {{12, 2, 128}, {4, 2, 64},   {8, 2, 32},  {2, 1, 128},
                                             {32, 8, 96},  {16, 2, 128}, {14, 2, 64}, {1, 1, 64},
                                             {24, 2, 128}, {6, 2, 80},   {4, 4, 256}, {3, 1, 48}};

class CudaAttention : public DeviceFixture {
 protected:
  LaunchContext Context(const AttentionMode& mode) const {
    LaunchContext context = DeviceFixture::Context(mode.generic);
    context.deterministic = mode.deterministic;
    return context;
  }

  // Decodes and prefills of the case in every mode, each twice on the same scratch.
  void Check(const StepCase& step_case, int row_stride = 1);
};

}  // namespace swiftlet::cuda
