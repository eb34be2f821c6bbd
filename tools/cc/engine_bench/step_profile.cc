#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <utility>

#include "tools/cc/engine_bench/kernel_profile.h"

namespace swiftlet {
namespace {

bool HasAny(const std::string& name, std::initializer_list<const char*> parts) {
  return std::ranges::any_of(parts, [&](const char* part) { return name.find(part) != std::string::npos; });
}

bool IsPrefill(const KernelRecord& record) {
  return HasAny(record.name, {"Prefill", "Portable"});
}

// Empty: a product with a matrix, whose use its place tells.
std::string UseByName(const std::string& name) {
  if (HasAny(name, {"BeginStep", "Embedding", "Plan"})) return "begin";
  if (HasAny(name, {"RopeKv"})) return "rotation, KV write";
  if (HasAny(name, {"Prefill"})) return "prefill attention";
  if (HasAny(name, {"DecodeKernel", "DecodeAttention", "Portable"})) return "decode attention";
  if (HasAny(name, {"RmsNorm"})) return "norm";
  if (HasAny(name, {"Swiglu"})) return "gate/up";
  if (HasAny(name, {"MaskPadding"})) return "head";
  if (HasAny(name, {"Sample", "Score"})) return "sampling";
  if (HasAny(name, {"AllReduce"})) return "all-reduce";
  if (HasAny(name, {"CopyBlock", "InitCounts"})) return "rows";
  return "";
}

struct Sum {
  double calls = 0, us = 0, alone_us = 0;
};

}  // namespace

std::vector<std::string> KernelUses(std::span<const KernelRecord> step) {
  static constexpr std::array kAfterAttention = {"o", "gate/up", "down"};
  std::vector<std::string> uses;
  std::vector<size_t> unsure;  // products since "down": qkv of a next layer if attention follows, else the head
  size_t next = kAfterAttention.size();
  std::string last;
  for (const KernelRecord& record : step) {
    std::string use = UseByName(record.name);
    if (use.ends_with("attention")) {
      for (const size_t i : unsure) uses[i] = "qkv";
      unsure.clear();
      next = 0;
    } else if (use.empty()) {
      if (HasAny(record.name, {"reduce"}) && !last.empty()) {
        use = last;  // the sum of what its parts left
      } else if (next < kAfterAttention.size()) {
        use = kAfterAttention[next++];
      } else {
        use = unsure.empty() ? "head" : "sampling";
      }
      last = use;
      if (next == kAfterAttention.size() && (use == "head" || use == "sampling")) unsure.push_back(uses.size());
    }
    uses.push_back(use);
  }
  return uses;
}

StepProfile ProfileSteps(std::vector<KernelRecord> records, const std::string& first_kernel, StepKind kind) {
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.begin_ns < b.begin_ns; });
  std::vector<size_t> begins;
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].name.find(first_kernel) != std::string::npos) begins.push_back(i);
  }
  // Steps by what they ran; the last one has no end.
  struct Kind {
    std::vector<std::span<const KernelRecord>> steps;
    uint64_t ns = 0;
  };
  std::map<std::string, Kind> kinds;
  for (size_t i = 1; i + 1 < begins.size(); ++i) {
    const auto step = std::span(records).subspan(begins[i], begins[i + 1] - begins[i]);
    if (std::ranges::any_of(step, IsPrefill) != (kind == StepKind::kMixed)) continue;
    std::string name;
    for (const KernelRecord& record : step) name += record.name + "\n";
    Kind& same = kinds[name];
    same.steps.push_back(step);
    same.ns += step.back().end_ns - step.front().begin_ns;
  }
  StepProfile profile;
  if (kinds.empty()) return profile;
  const Kind& most = std::ranges::max_element(kinds, {}, [](const auto& entry) { return entry.second.ns; })->second;
  const std::vector<std::string> uses = KernelUses(most.steps.front());
  std::map<std::pair<std::string, std::string>, Sum> sums;
  double step_ns = 0;
  double idle_ns = 0;
  for (const auto& step : most.steps) {
    uint64_t end_ns = (step.data() - 1)->end_ns;  // of the step before: begins[i] > 0
    for (size_t i = 0; i < step.size(); ++i) {
      const KernelRecord& record = step[i];
      Sum& sum = sums[{uses[i], record.name}];
      sum.calls += 1;
      sum.alone_us += static_cast<double>(record.end_ns - record.begin_ns) / 1e3;
      if (record.begin_ns > end_ns) {
        idle_ns += static_cast<double>(record.begin_ns - end_ns);
        step_ns += static_cast<double>(record.begin_ns - end_ns);
        end_ns = record.begin_ns;
      }
      if (record.end_ns <= end_ns) continue;
      sum.us += static_cast<double>(record.end_ns - end_ns) / 1e3;
      step_ns += static_cast<double>(record.end_ns - end_ns);
      end_ns = record.end_ns;
    }
  }
  profile.steps = static_cast<int32_t>(most.steps.size());
  const double steps = profile.steps;
  profile.step_us = step_ns / 1e3 / steps;
  profile.idle_us = idle_ns / 1e3 / steps;
  std::map<std::string, double> use_us;
  for (const auto& [key, sum] : sums) {
    use_us[key.first] += sum.us;
    profile.kernels.push_back({key.first, key.second, sum.calls / steps, sum.us / steps, sum.alone_us / sum.calls});
  }
  std::ranges::sort(profile.kernels, [&](const auto& a, const auto& b) {
    if (a.use != b.use) return std::pair(use_us[a.use], a.use) > std::pair(use_us[b.use], b.use);
    return a.us > b.us;
  });
  return profile;
}

std::string RenderProfile(const StepProfile& profile, const std::map<std::string, double>& floors_us) {
  std::string table = absl::StrFormat("%-20s %9s %7s %9s  %-72s %6s %9s %9s\n", "use", "us a step", "%", "floor us",
                                      "kernel [grid]", "calls", "us", "us alone");
  const auto percent = [&](double us) { return profile.step_us > 0 ? 100 * us / profile.step_us : 0; };
  double floor_us = 0;
  for (size_t i = 0; i < profile.kernels.size(); ++i) {
    const KernelShare& kernel = profile.kernels[i];
    std::string head = std::string(48, ' ');
    if (i == 0 || profile.kernels[i - 1].use != kernel.use) {
      double us = 0;
      for (size_t k = i; k < profile.kernels.size() && profile.kernels[k].use == kernel.use; ++k) {
        us += profile.kernels[k].us;
      }
      const auto floor = floors_us.find(kernel.use);
      head = absl::StrFormat("%-20s %9.2f %6.1f%% %9s", kernel.use, us, percent(us),
                             floor != floors_us.end() ? absl::StrFormat("%.1f", floor->second) : "");
      if (floor != floors_us.end()) floor_us += floor->second;
    }
    absl::StrAppendFormat(&table, "%s  %-72s %6.1f %9.2f %9.2f\n", head, kernel.name.substr(0, 72), kernel.calls,
                          kernel.us, kernel.alone_us);
  }
  absl::StrAppendFormat(&table, "%-20s %9.2f %6.1f%%\n", "no kernel", profile.idle_us, percent(profile.idle_us));
  absl::StrAppendFormat(&table, "%-20s %9.2f         %9.1f  mean of %d steps\n", "step", profile.step_us, floor_us,
                        profile.steps);
  return table;
}

}  // namespace swiftlet
