// Which kernels a GPU ran and when, by the activity records of CUPTI; opened at run time, as every CUDA library is.
// One profile at a time in a process: CUPTI's callbacks carry no pointer of ours.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace swiftlet {

struct KernelRecord {
  std::string name;  // with its grid where that tells uses of it apart
  uint64_t begin_ns = 0;
  uint64_t end_ns = 0;
};

// One row of the table: what a kernel adds to a step in one of its uses.
struct KernelShare {
  std::string use;  // "gate/up"
  std::string name;
  double calls = 0;     // in a step
  double us = 0;        // of a step: by how much its calls move the end of what has run; together they are the step
  double alone_us = 0;  // mean from begin to end of a call; it may begin, and wait, while its predecessor runs
};

struct StepProfile {
  std::vector<KernelShare> kernels;  // the longest use first, in it the longest kernel
  double step_us = 0;                // mean, from the end of a step to the end of the next
  double idle_us = 0;                // of it: no kernel ran
  int32_t steps = 0;
};

// Which steps: those that prefill something, or those that only decode.
enum class StepKind { kDecode, kMixed };

// What each kernel of a step is there for, in the order of their launches. A name does not tell: the same kernel serves
// several layers. The place does: the matrices of a layer come as qkv, attention, o, gate/up, down.
std::vector<std::string> KernelUses(std::span<const KernelRecord> step);

// Takes the records apart at each kernel whose name has `first_kernel` in it and averages those steps of `kind` that
// took the most time together: the same kernels in the same order.
StepProfile ProfileSteps(std::vector<KernelRecord> records, const std::string& first_kernel, StepKind kind);

// `floors_us`: the least time of a use in a step, where there is one; stands beside it.
std::string RenderProfile(const StepProfile& profile, const std::map<std::string, double>& floors_us);

class KernelProfile {
 public:
  // Before the first CUDA call. UNAVAILABLE without the library.
  static absl::Status Open();
  // All records since Open or the last call.
  static absl::StatusOr<std::vector<KernelRecord>> Take();
};

}  // namespace swiftlet
