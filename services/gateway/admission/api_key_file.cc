#include "services/gateway/admission/api_key_file.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/limits.h"
#include "services/common/model_files.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxKeys = 1000;
constexpr size_t kShortestKey = 16;
constexpr size_t kLongestKey = 256;
constexpr size_t kSha256Digits = 64;
constexpr int64_t kHighestLimit = int64_t{1} << 40;

std::optional<std::string_view> Text(const json::object& line, std::string_view name) {
  const json::value* value = line.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string_view(value->get_string().data(), value->get_string().size());
}

// False when it is there and no limit.
bool Limit(const json::object& line, std::string_view name, int64_t& limit) {
  const json::value* value = line.if_contains({name.data(), name.size()});
  if (value == nullptr) return true;
  if (!value->is_int64() || value->get_int64() < 1 || value->get_int64() > kHighestLimit) return false;
  limit = value->get_int64();
  return true;
}

bool AllOf(std::string_view text, bool (*test)(unsigned char)) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return test(static_cast<unsigned char>(c)); });
}

absl::StatusOr<ApiKeyEntry> ParseLine(std::string_view text) {
  const absl::StatusOr<json::value> value = ParseStrictJson(text, {.max_depth = 1});
  if (!value.ok() || !value->is_object()) return absl::InvalidArgumentError("is not one JSON object");
  const json::object& line = value->get_object();
  static constexpr std::string_view kNames[] = {"name", "key", "key_sha256", "max_requests", "tokens_per_minute"};
  for (const auto& member : line) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames)) {
      return absl::InvalidArgumentError(
          "has a member that is none of name, key, key_sha256, max_requests, tokens_per_minute");
    }
  }
  ApiKeyEntry entry;
  const std::optional<std::string_view> name = Text(line, "name");
  if (!name.has_value() || name->empty() || name->size() > limits::kMaxNameBytes ||
      !AllOf(*name, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.'; })) {
    return absl::InvalidArgumentError("needs a \"name\" of 1 to 64 letters, digits, '-', '_' and '.'");
  }
  entry.name = std::string(*name);
  if (line.contains("key") == line.contains("key_sha256")) {
    return absl::InvalidArgumentError("needs \"key\" or \"key_sha256\", and not both");
  }
  if (line.contains("key")) {
    const std::optional<std::string_view> key = Text(line, "key");
    if (!key.has_value() || key->size() < kShortestKey || key->size() > kLongestKey ||
        !AllOf(*key, absl::ascii_isgraph)) {
      return absl::InvalidArgumentError("has a \"key\" that is not 16 to 256 printable characters without spaces");
    }
    entry.hash = Sha256Hex(*key);
  } else {
    const std::optional<std::string_view> hash = Text(line, "key_sha256");
    if (!hash.has_value() || hash->size() != kSha256Digits || !AllOf(*hash, absl::ascii_isxdigit)) {
      return absl::InvalidArgumentError("has a \"key_sha256\" that is not 64 hexadecimal digits");
    }
    entry.hash = absl::AsciiStrToLower(ToAbsl(*hash));
  }
  if (!Limit(line, "max_requests", entry.limits.max_requests)) {
    return absl::InvalidArgumentError("has a \"max_requests\" that is not a whole number of at least 1");
  }
  if (!Limit(line, "tokens_per_minute", entry.limits.tokens_per_minute)) {
    return absl::InvalidArgumentError("has a \"tokens_per_minute\" that is not a whole number of at least 1");
  }
  return entry;
}

}  // namespace

absl::StatusOr<std::vector<ApiKeyEntry>> ParseApiKeyFile(std::string_view text) {
  std::vector<ApiKeyEntry> entries;
  std::set<std::string> hashes;
  std::map<std::string, KeyLimits> limits_of;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = ToStd(absl::StripAsciiWhitespace(ToAbsl(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const auto refuse = [&](std::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, " ", ToAbsl(what)));
    };
    absl::StatusOr<ApiKeyEntry> entry = ParseLine(line);
    if (!entry.ok()) return refuse(ToStd(entry.status().message()));
    if (!hashes.insert(entry->hash).second) return refuse("has a key that stands in an earlier line");
    const auto [known, added] = limits_of.emplace(entry->name, entry->limits);
    if (!added && known->second != entry->limits) return refuse("has other limits than an earlier line of that name");
    if (entries.size() == kMaxKeys) return refuse("is one key too many: there may be 1000");
    entries.push_back(*std::move(entry));
  }
  if (entries.empty()) return absl::InvalidArgumentError("has no key");
  return entries;
}

absl::StatusOr<std::vector<ApiKeyEntry>> ReadApiKeyFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxFileBytes);
  if (!text.ok()) return absl::Status(text.status().code(), absl::StrCat("--api-key-file: ", text.status().message()));
  absl::StatusOr<std::vector<ApiKeyEntry>> entries = ParseApiKeyFile(*text);
  if (!entries.ok()) {
    return absl::Status(entries.status().code(),
                        absl::StrCat("--api-key-file ", path, ": ", entries.status().message()));
  }
  return entries;
}

}  // namespace swiftlet
