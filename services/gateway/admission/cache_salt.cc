#include "services/gateway/admission/cache_salt.h"

#include <absl/strings/str_cat.h>

#include "engine/base/string_view.h"
#include "services/common/model_files.h"

namespace swiftlet {

std::string CacheSalt(std::string_view tenant, std::string_view callers) {
  if (tenant.empty() && callers.empty()) return "";
  // With its length in front, no tenant can be another one and the beginning of a salt.
  return Sha256Hex(absl::StrCat(tenant.size(), ":", ToAbsl(tenant), ToAbsl(callers)));
}

}  // namespace swiftlet
