#include "tools/swiftlet/chat/conversation.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/string_view.h"
#include "services/common/flag_names.h"

namespace swiftlet {
namespace {

enum class Kind { kNumber, kWhole, kWord };

struct Setting {
  const char* name;
  Kind kind;
};

// The request fields that make sense for a person at a prompt.
constexpr Setting kSettings[] = {
    {"temperature", Kind::kNumber},
    {"top_p", Kind::kNumber},
    {"top_k", Kind::kWhole},
    {"min_p", Kind::kNumber},
    {"max_tokens", Kind::kWhole},
    {"seed", Kind::kWhole},
    {"repetition_penalty", Kind::kNumber},
    {"presence_penalty", Kind::kNumber},
    {"frequency_penalty", Kind::kNumber},
    {"reasoning_effort", Kind::kWord},
    {"thinking_token_budget", Kind::kWhole},
};

boost::json::object Message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

}  // namespace

absl::Status Conversation::Set(std::string_view name, std::string_view value) {
  const auto* known = std::find_if(std::begin(kSettings), std::end(kSettings),
                                   [&](const Setting& setting) { return setting.name == name; });
  if (known == std::end(kSettings)) {
    std::vector<std::string> names;
    for (const Setting& setting : kSettings) names.emplace_back(setting.name);
    const std::string nearest = NearestName(name, names);
    return absl::InvalidArgumentError(absl::StrCat("unknown setting \"", ToAbsl(name), "\"",
                                                   nearest.empty() ? absl::StrCat("; there are ", SettingNames())
                                                                   : absl::StrCat("; did you mean ", nearest, "?")));
  }
  std::string json;
  int64_t whole;
  double number;
  if (known->kind == Kind::kWord) {
    json = boost::json::serialize(boost::json::string(value));
  } else if (absl::SimpleAtoi(ToAbsl(value), &whole)) {
    json = absl::StrCat(whole);
  } else if (known->kind == Kind::kNumber && absl::SimpleAtod(ToAbsl(value), &number) && std::isfinite(number)) {
    json = absl::StrCat(number);
  } else if (value != "default") {
    return absl::InvalidArgumentError(absl::StrCat(ToAbsl(name), ": \"", ToAbsl(value), "\" given; a ",
                                                   known->kind == Kind::kWhole ? "whole number" : "number",
                                                   " or \"default\" is needed"));
  }
  std::erase_if(settings_, [&](const auto& setting) { return setting.first == name; });
  if (value != "default") settings_.emplace_back(name, json);
  return absl::OkStatus();
}

std::string Conversation::Settings() const {
  return absl::StrJoin(settings_, ", ", absl::PairFormatter(" "));
}

std::string Conversation::SettingNames() {
  return absl::StrJoin(kSettings, ", ", [](std::string* out, const Setting& setting) { out->append(setting.name); });
}

std::string Conversation::RequestBody(std::string_view question) const {
  boost::json::array messages;
  if (!system_.empty()) messages.push_back(Message("system", system_));
  for (const Turn& turn : turns_) {
    messages.push_back(Message("user", turn.question));
    messages.push_back(Message("assistant", turn.answer));
  }
  messages.push_back(Message("user", question));
  const boost::json::object body = {
      {"model", model_},
      {"messages", std::move(messages)},
      {"stream", true},
      {"stream_options", {{"include_usage", true}, {"continuous_usage_stats", true}}},
  };
  std::string text = boost::json::serialize(body);
  text.pop_back();
  for (const auto& [name, json] : settings_) absl::StrAppend(&text, ",\"", name, "\":", json);
  text.push_back('}');
  return text;
}

void Conversation::Add(std::string question, std::string answer) {
  turns_.push_back({std::move(question), std::move(answer)});
}

}  // namespace swiftlet
