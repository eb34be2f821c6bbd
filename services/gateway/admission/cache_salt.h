// Whose prompts may share a prefix cache: what is computed for one tenant, no other one can tell by time or by
// `cached_tokens`. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace swiftlet {

// Submit.cache_salt of a request. `tenant`: KeyAccount::tenant, empty where everybody may call; `callers`: the
// cache_salt that the caller gave, which parts the tenant's own cache further. Equal for equal pairs on every gateway,
// unlike for unlike ones; empty for the empty pair. 64 characters that tell neither.
std::string CacheSalt(std::string_view tenant, std::string_view callers);

}  // namespace swiftlet
