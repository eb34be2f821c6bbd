#include "services/text/encode/digest.h"

#include <absl/strings/escaping.h>
#include <openssl/evp.h>

#include "engine/base/check.h"
#include "engine/base/string_view.h"

namespace swiftlet {

std::string ShortSha256(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr);
  CHECK(done == 1 && length == 32) << "SHA-256 gave " << length << " bytes";
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), 16));
}

}  // namespace swiftlet
