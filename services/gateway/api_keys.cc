#include "services/gateway/api_keys.h"

#include <absl/strings/match.h>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/model_files.h"

namespace swiftlet {
namespace {

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

ApiKeys::ApiKeys(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) hashes_.push_back(Sha256Hex(key));
}

absl::Status ApiKeys::Check(std::string_view authorization) const {
  if (hashes_.empty()) return absl::OkStatus();
  constexpr size_t kSchemeBytes = 7;
  if (!absl::StartsWithIgnoreCase(ToAbsl(authorization), "Bearer ")) {
    return absl::UnauthenticatedError("an API key is needed: send it as \"Authorization: Bearer KEY\"");
  }
  const std::string hash = Sha256Hex(authorization.substr(kSchemeBytes));
  bool known = false;
  for (const std::string& ours : hashes_) known |= EqualInConstantTime(hash, ours);
  return known ? absl::OkStatus() : absl::UnauthenticatedError("the API key is not known here");
}

}  // namespace swiftlet
