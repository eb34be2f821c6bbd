#include "services/gateway/request/parameter_table.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/check.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"

namespace swiftlet {
namespace {

namespace json = boost::json;
using enum ParameterHandling;

// The OpenAI names, then those that vLLM and SGLang added and their clients send.
constexpr std::array kTable = {
    Parameter{"add_generation_prompt", kChatRoute, kBoolean, kServed},
    Parameter{"add_special_tokens", kChatRoute, kBoolean, kNeutralOnly, "[false]"},
    Parameter{"add_special_tokens", kCompletionsRoute, kBoolean, kServed},
    Parameter{"allowed_token_ids", kBothRoutes, kArray, kNeutralOnly, "[[]]"},
    Parameter{"audio", kChatRoute, kObject, kNeutralOnly},
    Parameter{"bad_words", kBothRoutes, kArray, kNeutralOnly, "[[]]"},
    Parameter{"best_of", kBothRoutes, kInteger, kNeutralOnly, "[1]"},
    Parameter{"cache_salt", kBothRoutes, kString, kServed},
    Parameter{"chat_template", kChatRoute, kString, kNeutralOnly},
    Parameter{"chat_template_kwargs", kChatRoute, kObject, kServed},
    Parameter{"continue_final_message", kChatRoute, kBoolean, kServed},
    Parameter{"documents", kChatRoute, kArray, kNeutralOnly, "[[]]"},
    Parameter{"echo", kChatRoute, kBoolean, kNeutralOnly, "[false]"},
    Parameter{"echo", kCompletionsRoute, kBoolean, kServed},
    Parameter{"frequency_penalty", kBothRoutes, kNumber, kServed},
    Parameter{"function_call", kChatRoute, kString | kObject, kNeutralOnly, R"(["none","auto"])"},
    Parameter{"functions", kChatRoute, kArray, kNeutralOnly, "[[]]"},
    Parameter{"guided_choice", kBothRoutes, kArray, kNeutralOnly, "[[]]"},
    Parameter{"guided_decoding_backend", kBothRoutes, kString, kNoEffect},
    Parameter{"guided_grammar", kBothRoutes, kString, kNeutralOnly},
    Parameter{"guided_json", kBothRoutes, kString | kObject, kNeutralOnly},
    Parameter{"guided_regex", kBothRoutes, kString, kNeutralOnly},
    Parameter{"guided_whitespace_pattern", kBothRoutes, kString, kNeutralOnly},
    Parameter{"ignore_eos", kBothRoutes, kBoolean, kServed},
    Parameter{"include_reasoning", kBothRoutes, kBoolean, kNeutralOnly, "[true]"},
    Parameter{"include_stop_str_in_output", kBothRoutes, kBoolean, kServed},
    Parameter{"length_penalty", kBothRoutes, kNumber, kNeutralOnly, "[1]"},
    Parameter{"logit_bias", kBothRoutes, kObject, kServed},
    Parameter{"logits_processors", kBothRoutes, kArray, kNeutralOnly, "[[]]"},
    Parameter{"logprobs", kChatRoute, kBoolean, kServed},
    Parameter{"logprobs", kCompletionsRoute, kInteger, kServed},
    Parameter{"max_completion_tokens", kBothRoutes, kInteger, kServed},
    Parameter{"max_tokens", kBothRoutes, kInteger, kServed},
    Parameter{.name = "messages", .routes = kChatRoute, .kinds = kArray, .handling = kServed, .required = true},
    Parameter{"metadata", kBothRoutes, kAnyKind, kNoEffect},
    Parameter{"min_p", kBothRoutes, kNumber, kServed},
    Parameter{"min_tokens", kBothRoutes, kInteger, kServed},
    Parameter{"mm_processor_kwargs", kChatRoute, kObject, kNeutralOnly, "[{}]"},
    Parameter{"modalities", kChatRoute, kArray, kNeutralOnly, R"([["text"]])"},
    Parameter{.name = "model", .routes = kBothRoutes, .kinds = kString, .handling = kServed, .required = true},
    Parameter{"n", kBothRoutes, kInteger, kServed},
    Parameter{"parallel_tool_calls", kChatRoute, kBoolean, kServed},
    Parameter{"prediction", kChatRoute, kObject, kNeutralOnly},
    Parameter{"presence_penalty", kBothRoutes, kNumber, kServed},
    Parameter{"priority", kBothRoutes, kInteger, kServed},
    Parameter{.name = "prompt",
              .routes = kCompletionsRoute,
              .kinds = kString | kArray,
              .handling = kServed,
              .required = true},
    Parameter{"prompt_cache_key", kBothRoutes, kAnyKind, kNoEffect},
    Parameter{"prompt_cache_retention", kBothRoutes, kAnyKind, kNoEffect},
    Parameter{"prompt_logprobs", kBothRoutes, kInteger, kServed},
    Parameter{"reasoning_effort", kChatRoute, kString, kServed},
    Parameter{"repetition_penalty", kBothRoutes, kNumber, kServed},
    Parameter{"response_format", kBothRoutes, kObject, kServed},
    Parameter{"return_token_ids", kBothRoutes, kBoolean, kServed},
    Parameter{"return_tokens_as_token_ids", kBothRoutes, kBoolean, kServed},
    Parameter{"safety_identifier", kBothRoutes, kAnyKind, kNoEffect},
    Parameter{"seed", kBothRoutes, kInteger, kServed},
    Parameter{"separate_reasoning", kChatRoute, kBoolean, kNeutralOnly, "[true]"},
    Parameter{"service_tier", kBothRoutes, kAnyKind, kNoEffect},
    Parameter{"skip_special_tokens", kBothRoutes, kBoolean, kNeutralOnly, "[true]"},
    Parameter{"spaces_between_special_tokens", kBothRoutes, kBoolean, kNeutralOnly, "[true]"},
    Parameter{"stop", kBothRoutes, kString | kArray, kServed},
    Parameter{"stop_in_reasoning", kChatRoute, kBoolean, kServed},
    Parameter{"stop_token_ids", kBothRoutes, kArray, kServed},
    Parameter{"store", kBothRoutes, kAnyKind, kNoEffect},
    Parameter{"stream", kBothRoutes, kBoolean, kServed},
    Parameter{"stream_options", kBothRoutes, kObject, kServed},
    Parameter{"structured_outputs", kBothRoutes, kObject, kNeutralOnly, "[{}]"},
    Parameter{"suffix", kCompletionsRoute, kString, kNeutralOnly, R"([""])"},
    Parameter{"temperature", kBothRoutes, kNumber, kServed},
    Parameter{"thinking_token_budget", kChatRoute, kInteger, kServed},
    Parameter{"thinking_token_budget", kCompletionsRoute, kInteger, kNeutralOnly},
    Parameter{"timeout_ms", kBothRoutes, kInteger, kServed},
    Parameter{"tool_choice", kChatRoute, kString | kObject, kServed},
    Parameter{"tools", kChatRoute, kArray, kServed},
    Parameter{"top_k", kBothRoutes, kInteger, kServed},
    Parameter{"top_logprobs", kChatRoute, kInteger, kServed},
    Parameter{"top_p", kBothRoutes, kNumber, kServed},
    Parameter{"truncate_prompt_tokens", kBothRoutes, kInteger, kNeutralOnly},
    Parameter{"use_beam_search", kBothRoutes, kBoolean, kNeutralOnly, "[false]"},
    Parameter{"user", kBothRoutes, kAnyKind, kNoEffect},
    Parameter{"verbosity", kChatRoute, kString, kNeutralOnly, R"(["medium"])"},
    Parameter{"web_search_options", kChatRoute, kObject, kNeutralOnly},
};

static_assert(std::is_sorted(kTable.begin(), kTable.end(),
                             [](const Parameter& a, const Parameter& b) { return a.name < b.name; }));

uint8_t KindsOf(const json::value& value) {
  switch (value.kind()) {
    case json::kind::string:
      return kString;
    case json::kind::int64:
    case json::kind::uint64:
      return kInteger | kNumber;
    case json::kind::double_:
      return std::trunc(value.get_double()) == value.get_double() ? kInteger | kNumber : kNumber;
    case json::kind::bool_:
      return kBoolean;
    case json::kind::array:
      return kArray;
    case json::kind::object:
      return kObject;
    case json::kind::null:
      return 0;
  }
  return 0;
}

std::string KindNames(uint8_t kinds) {
  constexpr std::pair<ParameterKind, absl::string_view> kNames[] = {{kString, "a string"}, {kInteger, "an integer"},
                                                                    {kNumber, "a number"}, {kBoolean, "true or false"},
                                                                    {kArray, "a list"},    {kObject, "an object"}};
  std::vector<absl::string_view> names;
  for (const auto& [kind, name] : kNames) {
    if (kinds & kind) names.push_back(name);
  }
  return absl::StrJoin(names, " or ");
}

bool Equal(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  return a == b;
}

}  // namespace

std::span<const Parameter> Parameters() {
  return kTable;
}

const Parameter* FindParameter(std::string_view name, ParameterRoute route) {
  auto row = std::lower_bound(kTable.begin(), kTable.end(), name,
                              [](const Parameter& parameter, std::string_view key) { return parameter.name < key; });
  for (; row != kTable.end() && row->name == name; ++row) {
    if (row->routes & route) return row;
  }
  return nullptr;
}

absl::Status CheckParameter(const Parameter& parameter, const json::value& value) {
  if (value.is_null() || parameter.handling == kNoEffect) return absl::OkStatus();
  if ((KindsOf(value) & parameter.kinds) == 0) {
    return InvalidField(parameter.name,
                        absl::StrCat("`", ToAbsl(parameter.name), "` must be ", KindNames(parameter.kinds)));
  }
  if (parameter.handling == kServed) return absl::OkStatus();
  const auto neutral = ParseStrictJson(parameter.neutral);
  CHECK(neutral.ok()) << parameter.name;
  for (const json::value& one : neutral->get_array()) {
    if (Equal(value, one)) return absl::OkStatus();
  }
  std::vector<std::string> accepted = {"null"};
  for (const json::value& one : neutral->get_array()) accepted.push_back(json::serialize(one));
  return InvalidField(parameter.name,
                      absl::StrCat("`", ToAbsl(parameter.name), "` is not served by this server; it accepts ",
                                   absl::StrJoin(accepted, ", "), " only"));
}

}  // namespace swiftlet
