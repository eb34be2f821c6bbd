#include "services/common/flag_names.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <algorithm>

#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string EnvironmentName(absl::string_view flag) {
  return absl::StrCat(kEnvironmentPrefix, absl::AsciiStrToUpper(absl::StrReplaceAll(flag, {{"-", "_"}})));
}

bool IsServiceLink(absl::string_view name, absl::string_view value) {
  if (absl::StrContains(name, "_SERVICE_HOST") || absl::StrContains(name, "_SERVICE_PORT")) return true;
  if (absl::StartsWith(value, "tcp://") || absl::StartsWith(value, "udp://")) return true;
  const size_t port = name.find("_PORT_");
  return port != absl::string_view::npos &&
         (absl::StrContains(name.substr(port), "_TCP") || absl::StrContains(name.substr(port), "_UDP"));
}

std::string NearestName(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string* nearest = nullptr;
  size_t nearest_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(ToAbsl(name), candidate);
    if (distance >= nearest_distance) continue;
    nearest_distance = distance;
    nearest = &candidate;
  }
  return nearest == nullptr ? "" : *nearest;
}

}  // namespace swiftlet
