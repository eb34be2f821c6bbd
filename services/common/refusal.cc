#include "services/common/refusal.h"

#include <absl/strings/cord.h>

#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr absl::string_view kUrl = "swiftlet/refusal";

}  // namespace

absl::Status WithRefusal(absl::Status status, std::string_view reason) {
  status.SetPayload(kUrl, absl::Cord(ToAbsl(reason)));
  return status;
}

std::optional<std::string> Refusal(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kUrl);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

}  // namespace swiftlet
