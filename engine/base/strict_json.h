// The one JSON parser for everything that comes from outside: request bodies, model directories, data files.
// Strict: RFC 8259, UTF-8 checked, bounded depth, and an object with two equal keys is an error
// (boost::json::parse would keep the last of the two).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>
#include <boost/json/value.hpp>

namespace swiftlet {

struct JsonLimits {
  size_t max_depth = 32;  // nested arrays and objects
};

// INVALID_ARGUMENT with the byte offset, the key before it and what was wrong there. `text` is read, not kept.
// Numbers: integers that fit are int64 or uint64, all others double; one that overflows double is an error.
absl::StatusOr<boost::json::value> ParseStrictJson(std::string_view text, const JsonLimits& limits = {});

// Reads a whole file and parses it; errors name the path. `max_bytes` bounds what is read.
absl::StatusOr<boost::json::value> ReadStrictJsonFile(const std::string& path, size_t max_bytes,
                                                      const JsonLimits& limits = {});

}  // namespace swiftlet
