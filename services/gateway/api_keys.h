// Who may call: the keys given by --api-key, for both doors. Immutable after construction; any thread.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

class ApiKeys {
 public:
  // No key: everybody may call.
  explicit ApiKeys(const std::vector<std::string>& keys);

  // `authorization`: the header's value, "Bearer KEY". UNAUTHENTICATED unless KEY is one of ours. The time it takes
  // does not depend on how much of a key is right.
  absl::Status Check(std::string_view authorization) const;

 private:
  std::vector<std::string> hashes_;  // SHA-256, hexadecimal
};

}  // namespace swiftlet
