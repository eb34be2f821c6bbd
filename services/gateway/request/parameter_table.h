// Every request parameter that the OpenAI routes know, as data: what it may hold, and what becomes of it. A name that
// is not here is unknown.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <span>
#include <string_view>

#include <boost/json/value.hpp>

namespace swiftlet {

enum ParameterRoute : uint8_t { kChatRoute = 1, kCompletionsRoute = 2, kBothRoutes = 3 };

enum ParameterKind : uint8_t {
  kString = 1,
  kInteger = 2,  // also a number without a fraction, such as 10.0
  kNumber = 4,
  kBoolean = 8,
  kArray = 16,
  kObject = 32,
  kAnyKind = 63,
};

enum class ParameterHandling {
  kServed,       // read by openai_request.cc
  kNeutralOnly,  // not served: accepted where it asks for nothing, else refused by name
  kNoEffect,     // accepted, whatever it holds
};

struct Parameter {
  std::string_view name;
  ParameterRoute routes;
  uint8_t kinds;  // ParameterKind, or-ed
  ParameterHandling handling;
  std::string_view neutral = "[]";  // a JSON array of the values that ask for nothing; null always does
  bool required = false;
};

// Sorted by name; one name may appear once for each route.
std::span<const Parameter> Parameters();

// Null when `route` does not know `name`.
const Parameter* FindParameter(std::string_view name, ParameterRoute route);

// The kind is right and, where only the neutral values are accepted, it is one. null is always OK: it means absent.
absl::Status CheckParameter(const Parameter& parameter, const boost::json::value& value);

}  // namespace swiftlet
