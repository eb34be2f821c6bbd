// Who may call: the keys given by --api-key and those of the keys file, for both doors. Any thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/admission/key_account.h"

namespace swiftlet {

// A key of the keys file.
struct ApiKeyEntry {
  std::string name;  // of its account; several keys may have one
  std::string hash;  // SHA-256, hexadecimal
  KeyLimits limits;
};

class ApiKeys {
 public:
  // No key here and none in a file: everybody may call. These have no limits and the name "api-key"; each is a tenant
  // of its own.
  explicit ApiKeys(const std::vector<std::string>& keys);

  // Replaces the keys of the file, one thread at a time. Accounts keep what they use, also over a time in which the
  // file does not name them: they are found again by name.
  void SetFileKeys(const std::vector<ApiKeyEntry>& entries, int64_t now_us);

  // `authorization`: the header's value, "Bearer KEY". UNAUTHENTICATED unless KEY is one of ours; null where everybody
  // may call. The time it takes does not depend on how much of a key is right.
  absl::StatusOr<std::shared_ptr<KeyAccount>> Check(std::string_view authorization) const;

 private:
  struct Known {
    std::string hash;
    std::shared_ptr<KeyAccount> account;
  };
  using Table = std::vector<Known>;

  Table flag_keys_;
  // By name: those of the file, and those that were and still count for something. SetFileKeys alone.
  std::map<std::string, std::shared_ptr<KeyAccount>> accounts_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_;  // guarded by mutex_; the table never changes
};

}  // namespace swiftlet
