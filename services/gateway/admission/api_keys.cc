#include "services/gateway/admission/api_keys.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>

#include <utility>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/model_files.h"

namespace swiftlet {

ApiKeys::ApiKeys(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const std::string hash = Sha256Hex(key);
    // No name in a file has a space.
    flag_keys_.push_back({hash, std::make_shared<KeyAccount>("api-key", absl::StrCat("key ", hash), KeyLimits())});
  }
  table_ = std::make_shared<const Table>(flag_keys_);
}

void ApiKeys::SetFileKeys(const std::vector<ApiKeyEntry>& entries, int64_t now_us) {
  Table table = flag_keys_;
  for (const ApiKeyEntry& entry : entries) {
    std::shared_ptr<KeyAccount>& account = accounts_[entry.name];
    if (account == nullptr) account = std::make_shared<KeyAccount>(entry.name, entry.name, entry.limits);
    account->SetLimits(entry.limits);
    table.push_back({entry.hash, account});
  }
  auto next = std::make_shared<const Table>(std::move(table));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    table_.swap(next);
  }
  next.reset();
  // What neither the table nor a request holds now, nobody can come to hold.
  std::erase_if(accounts_,
                [&](const auto& known) { return known.second.use_count() == 1 && known.second->Rests(now_us); });
}

absl::StatusOr<std::shared_ptr<KeyAccount>> ApiKeys::Check(std::string_view authorization) const {
  std::shared_ptr<const Table> table;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    table = table_;
  }
  if (table->empty()) return nullptr;
  constexpr size_t kSchemeBytes = 7;
  if (!absl::StartsWithIgnoreCase(ToAbsl(authorization), "Bearer ")) {
    return absl::UnauthenticatedError("an API key is needed: send it as \"Authorization: Bearer KEY\"");
  }
  const std::string hash = Sha256Hex(authorization.substr(kSchemeBytes));
  const Known* found = nullptr;
  for (const Known& ours : *table) {  // all of them, whichever it is
    const bool equal = hash.size() == ours.hash.size() && CRYPTO_memcmp(&hash[0], &ours.hash[0], hash.size()) == 0;
    if (equal) found = &ours;
  }
  if (found == nullptr) return absl::UnauthenticatedError("the API key is not known here");
  return found->account;
}

}  // namespace swiftlet
