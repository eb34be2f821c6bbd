// Percent-encoding of URLs, decoded as strictly as all else from outside. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace swiftlet {

enum class PercentDecoding {
  kAll,
  kAllButSlash,     // "%2F" and "%2f" stay as they are: what stands between two slashes remains one segment
  kPlusIsSpaceToo,  // query strings
};

// nullopt when a '%' is not followed by two hexadecimal digits, or when the result is not UTF-8 or holds a NUL.
std::optional<std::string> PercentDecoded(std::string_view text, PercentDecoding decoding);

}  // namespace swiftlet
