#include "services/gateway/request/parameter_table.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <string>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/gateway/openai/openai_request.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

// The smallest request of `route`, with `name` set to `value`.
std::string BodyWith(ParameterRoute route, std::string_view name, std::string_view value) {
  std::string body = "{";
  const auto add = [&](std::string_view key, std::string_view text) {
    if (key == name) return;
    absl::StrAppend(&body, "\"", ToAbsl(key), "\":", ToAbsl(text), ",");
  };
  add("model", R"("tiny")");
  if (route == kChatRoute) {
    add("messages", R"([{"role":"user","content":"x"}])");
  } else {
    add("prompt", R"("x")");
  }
  return absl::StrCat(body, "\"", ToAbsl(name), "\":", ToAbsl(value), "}");
}

template <typename Visit>
void ForEachParameter(Visit visit) {
  for (const Parameter& parameter : Parameters()) {
    for (const ParameterRoute route : {kChatRoute, kCompletionsRoute}) {
      if (parameter.routes & route) visit(parameter, route);
    }
  }
}

TEST(ParameterTable, NamesEachParameterOnceForARoute) {
  ForEachParameter([](const Parameter& parameter, ParameterRoute route) {
    EXPECT_EQ(FindParameter(parameter.name, route), &parameter) << parameter.name;
  });
  EXPECT_EQ(FindParameter("maxTokens", kChatRoute), nullptr);
  EXPECT_EQ(FindParameter("prompt", kChatRoute), nullptr);
}

TEST(ParameterTable, NullIsAbsent) {
  ForEachParameter([](const Parameter& parameter, ParameterRoute route) {
    if (parameter.name == "messages" || parameter.name == "prompt") return;  // required
    const auto request = ParseOpenAiRequest(BodyWith(route, parameter.name, "null"), route, /*strict=*/true);
    EXPECT_TRUE(request.ok()) << parameter.name << ": " << request.status();
  });
}

TEST(ParameterTable, UnservedIsAcceptedAtEachNeutralValueAndRefusedByNameOtherwise) {
  int num_refused = 0;
  ForEachParameter([&](const Parameter& parameter, ParameterRoute route) {
    if (parameter.handling != ParameterHandling::kNeutralOnly) return;
    const json::value neutral = json::parse(json::string_view(parameter.neutral.data(), parameter.neutral.size()));
    for (const json::value& one : neutral.get_array()) {
      const auto request = ParseOpenAiRequest(BodyWith(route, parameter.name, json::serialize(one)), route, true);
      EXPECT_TRUE(request.ok()) << parameter.name << ": " << request.status();
    }
    for (const std::string_view other : {"true", "false", "7", "-0.5", R"("odd")", "[7]", R"({"odd":7})"}) {
      const json::value value = json::parse(json::string_view(other.data(), other.size()));
      bool is_neutral = false;
      for (const json::value& one : neutral.get_array()) is_neutral |= one == value;
      if (is_neutral) continue;
      const auto request = ParseOpenAiRequest(BodyWith(route, parameter.name, other), route, false);
      EXPECT_EQ(request.status().code(), absl::StatusCode::kInvalidArgument) << parameter.name << " " << other;
      EXPECT_EQ(ErrorParam(request.status()), std::string(parameter.name));
      ++num_refused;
    }
  });
  EXPECT_GT(num_refused, 200);
}

TEST(ParameterTable, NumbersAreNeutralHoweverTheyAreWritten) {
  EXPECT_TRUE(ParseOpenAiRequest(BodyWith(kChatRoute, "best_of", "1.0"), kChatRoute, true).ok());
  EXPECT_TRUE(ParseOpenAiRequest(BodyWith(kChatRoute, "length_penalty", "1e0"), kChatRoute, true).ok());
}

TEST(ParameterTable, ServedRefusesEachWrongKindByName) {
  ForEachParameter([](const Parameter& parameter, ParameterRoute route) {
    if (parameter.handling != ParameterHandling::kServed) return;
    const std::pair<uint8_t, std::string_view> values[] = {{kString, R"("1")"}, {kInteger | kNumber, "1"},
                                                           {kBoolean, "true"},  {kArray, "[[[]]]"},
                                                           {kObject, "{}"},     {kNumber, "1.5"}};
    for (const auto& [kinds, value] : values) {
      if (parameter.kinds & kinds) continue;
      const auto request = ParseOpenAiRequest(BodyWith(route, parameter.name, value), route, false);
      EXPECT_EQ(request.status().code(), absl::StatusCode::kInvalidArgument) << parameter.name << " " << value;
      EXPECT_EQ(ErrorParam(request.status()), std::string(parameter.name)) << value;
    }
  });
}

TEST(ParameterTable, SomeHaveNoEffectWhateverTheyHold) {
  int num_seen = 0;
  ForEachParameter([&](const Parameter& parameter, ParameterRoute route) {
    if (parameter.handling != ParameterHandling::kNoEffect) return;
    ++num_seen;
    for (const std::string_view value : {"1", "true", R"("x")", R"({"a":[1]})", "[]"}) {
      EXPECT_TRUE(ParseOpenAiRequest(BodyWith(route, parameter.name, value), route, true).ok()) << parameter.name;
    }
  });
  EXPECT_GT(num_seen, 10);
}

}  // namespace
}  // namespace swiftlet
