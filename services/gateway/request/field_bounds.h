// What the fields of a request may hold, once: the validator refuses what lies outside, and the OpenAPI document tells
// it. Immutable; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "services/common/limits.h"

namespace swiftlet {

struct Range {
  double lowest;
  double highest;
  bool above_lowest = false;  // `lowest` itself is outside
};

namespace ranges {

inline constexpr Range kTemperature = {0, limits::kMaxTemperature};
inline constexpr Range kTopP = {0, 1, true};
inline constexpr Range kTopK = {-1, INT32_MAX};
inline constexpr Range kMinP = {0, 1};
inline constexpr Range kRepetitionPenalty = {0, limits::kMaxPenalty, true};
inline constexpr Range kPenalty = {-limits::kMaxPenalty, limits::kMaxPenalty};  // presence and frequency
inline constexpr Range kLogitBias = {-limits::kMaxLogitBiasValue, limits::kMaxLogitBiasValue};
inline constexpr Range kTokenId = {0, INT32_MAX};
inline constexpr Range kMaxTokens = {0, INT32_MAX};  // 0 only where the prompt is told
inline constexpr Range kMinTokens = {0, INT32_MAX};
inline constexpr Range kChoices = {1, limits::kMaxChoices};
inline constexpr Range kLogprobs = {0, limits::kMaxLogprobs};
inline constexpr Range kPriority = {-limits::kMaxPriority, limits::kMaxPriority};
inline constexpr Range kThinkingTokens = {0, INT32_MAX};
inline constexpr Range kTimeoutMs = {1, limits::kMaxTimeoutMs};

}  // namespace ranges

// Of one field, as the two kinds of doors spell it. Of a list or map: its entries, and each value.
struct FieldBounds {
  std::string_view parameter;  // of the OpenAI routes; empty: there is none
  std::string_view field;      // of our messages, such as "SamplingParams.top_k"; empty: there is none
  std::optional<Range> range = std::nullopt;
  size_t min_entries = 0;
  size_t max_entries = 0;  // 0: as many as fit into a body
  size_t min_bytes = 0;    // of text; UTF-8
  size_t max_bytes = 0;    // 0: as many as fit into a body
  bool label = false;      // text without control characters
};

// Null when nothing bounds it but its type.
const FieldBounds* BoundsOfParameter(std::string_view parameter);
const FieldBounds* BoundsOfField(std::string_view field);

}  // namespace swiftlet
