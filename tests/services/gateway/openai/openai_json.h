// Answers of the OpenAI routes, taken apart.
#pragma once

#include <absl/strings/str_split.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

#include "engine/base/string_view.h"

namespace swiftlet {

inline boost::json::value Json(std::string_view text) {
  return boost::json::parse(text);
}

inline std::string Text(const boost::json::value& value) {
  return boost::json::value_to<std::string>(value);
}

// The data of each event; comments and the end marks left out.
inline std::vector<std::string> Events(std::string_view body) {
  std::vector<std::string> events;
  for (const absl::string_view event : absl::StrSplit(ToAbsl(body), "\n\n", absl::SkipEmpty())) {
    if (event[0] == ':') continue;
    EXPECT_EQ(event.substr(0, 6), "data: ");
    events.emplace_back(event.substr(6));
  }
  return events;
}

}  // namespace swiftlet
