// What OpenAI's `reasoning_effort` means here: a budget of tokens. Immutable; any thread. docs/api.md has the table.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace swiftlet {

struct ReasoningEffort {
  std::string_view name;
  std::optional<int32_t> token_budget;  // nullopt: as much as anybody reasons
};

inline constexpr std::array kReasoningEfforts = {
    ReasoningEffort{"none", 0},       ReasoningEffort{"minimal", 256}, ReasoningEffort{"low", 1'024},
    ReasoningEffort{"medium", 4'096}, ReasoningEffort{"high", 16'384}, ReasoningEffort{"xhigh", std::nullopt},
};

// Null where there is none of that name.
inline const ReasoningEffort* FindReasoningEffort(std::string_view name) {
  const auto found = std::find_if(kReasoningEfforts.begin(), kReasoningEfforts.end(),
                                  [&](const ReasoningEffort& effort) { return effort.name == name; });
  return found == kReasoningEfforts.end() ? nullptr : &*found;
}

}  // namespace swiftlet
