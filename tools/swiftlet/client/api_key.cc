#include "tools/swiftlet/client/api_key.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxKeyBytes = 4096;

bool FitsAHeader(std::string_view key) {
  return std::all_of(key.begin(), key.end(), [](char byte) { return absl::ascii_isgraph(byte); });
}

}  // namespace

absl::Status CheckApiKey(std::string_view flag, std::string_view key) {
  if (FitsAHeader(key)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(ToAbsl(flag), ": a key is letters, digits and signs of ASCII, without spaces or line feeds"));
}

absl::StatusOr<std::string> ReadApiKey(std::string_view flag, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxKeyBytes));
  const std::string key(absl::StripAsciiWhitespace(text));
  if (!key.empty() && FitsAHeader(key)) return key;
  return absl::InvalidArgumentError(absl::StrCat(ToAbsl(flag), " ", path, ": the key alone must stand in it"));
}

}  // namespace swiftlet
