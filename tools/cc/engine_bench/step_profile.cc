#include <absl/strings/str_format.h>

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "tools/cc/engine_bench/kernel_profile.h"

namespace swiftlet {

StepProfile ProfileSteps(std::vector<KernelRecord> records, const std::string& first_kernel) {
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.begin_ns < b.begin_ns; });
  std::vector<size_t> begins;
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].name.find(first_kernel) != std::string::npos) begins.push_back(i);
  }
  // Steps by what they ran; the last one has no end.
  std::map<std::string, std::vector<std::span<const KernelRecord>>> kinds;
  for (size_t i = 1; i + 1 < begins.size(); ++i) {
    const auto step = std::span(records).subspan(begins[i], begins[i + 1] - begins[i]);
    std::string kind;
    for (const KernelRecord& record : step) kind += record.name + "\n";
    kinds[kind].push_back(step);
  }
  StepProfile profile;
  if (kinds.empty()) return profile;
  const auto most = std::max_element(kinds.begin(), kinds.end(),
                                     [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  std::map<std::string, KernelShare> shares;
  double step_ns = 0;
  double idle_ns = 0;
  for (const auto& step : most->second) {
    uint64_t end_ns = (step.data() - 1)->end_ns;  // of the step before: begins[i] > 0
    for (const KernelRecord& record : step) {
      KernelShare& share = shares[record.name];
      share.calls += 1;
      share.alone_us += static_cast<double>(record.end_ns - record.begin_ns) / 1e3;
      if (record.begin_ns > end_ns) {
        idle_ns += static_cast<double>(record.begin_ns - end_ns);
        step_ns += static_cast<double>(record.begin_ns - end_ns);
        end_ns = record.begin_ns;
      }
      if (record.end_ns <= end_ns) continue;
      share.us += static_cast<double>(record.end_ns - end_ns) / 1e3;
      step_ns += static_cast<double>(record.end_ns - end_ns);
      end_ns = record.end_ns;
    }
  }
  profile.steps = static_cast<int32_t>(most->second.size());
  const double steps = profile.steps;
  profile.step_us = step_ns / 1e3 / steps;
  profile.idle_us = idle_ns / 1e3 / steps;
  for (auto& [name, share] : shares) {
    profile.kernels.push_back({name, share.calls / steps, share.us / steps, share.alone_us / share.calls});
  }
  std::sort(profile.kernels.begin(), profile.kernels.end(), [](const auto& a, const auto& b) { return a.us > b.us; });
  return profile;
}

std::string RenderProfile(const StepProfile& profile) {
  std::string table =
      absl::StrFormat("%-84s %6s %9s %7s %9s\n", "kernel [grid]", "calls", "us a step", "%", "us alone");
  const auto percent = [&](double us) { return profile.step_us > 0 ? 100 * us / profile.step_us : 0; };
  for (const KernelShare& kernel : profile.kernels) {
    absl::StrAppendFormat(&table, "%-84s %6.1f %9.2f %6.1f%% %9.2f\n", kernel.name.substr(0, 84), kernel.calls,
                          kernel.us, percent(kernel.us), kernel.alone_us);
  }
  absl::StrAppendFormat(&table, "%-84s %6s %9.2f %6.1f%%\n", "no kernel", "", profile.idle_us,
                        percent(profile.idle_us));
  absl::StrAppendFormat(&table, "%-84s %6s %9.2f          mean of %d steps\n", "step", "", profile.step_us,
                        profile.steps);
  return table;
}

}  // namespace swiftlet
