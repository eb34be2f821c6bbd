// Which schemas no document can fit both of: what oneOf needs.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace swiftlet {

inline constexpr size_t kMaxOneOf = 64;  // every pair is compared

// The values of `const` or `enum`, one of which is there.
absl::StatusOr<std::vector<const boost::json::value*>> ListedValues(const boost::json::object& schema,
                                                                    const std::string& path);

// By their types, or by their listed values. False where that cannot be seen without following anything.
bool HaveDisjointValues(const boost::json::object& one, const boost::json::object& other);

// Names that both object schemas require and describe; an error where one of them is no schema of objects alone.
absl::StatusOr<std::vector<std::string>> CommonRequired(const boost::json::object& one,
                                                        const boost::json::object& other);

}  // namespace swiftlet
