#include "services/common/model_files.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/sha.h>

#include <cstddef>

#include <boost/json/serialize.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxFileBytes = 256 << 20;  // the largest published tokenizer.json has 33 MB
constexpr absl::string_view kTokenizerFiles[] = {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"};

std::string Framed(absl::string_view name, absl::string_view content) {
  constexpr absl::string_view kNul("\0", 1);
  return absl::StrCat(name, kNul, content.size(), kNul, content);
}

}  // namespace

std::string Sha256Hex(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

absl::StatusOr<ModelFileHashes> HashModelFiles(const std::string& model_dir) {
  std::string tokenizer_bytes;
  std::string template_bytes;
  bool has_tokenizer = false;
  for (const absl::string_view name : kTokenizerFiles) {
    const std::string path = absl::StrCat(model_dir, "/", name);
    absl::StatusOr<std::string> content = ReadFile(path, kMaxFileBytes);
    if (absl::IsNotFound(content.status())) continue;
    RETURN_IF_ERROR(content.status());
    tokenizer_bytes += Framed(name, *content);
    if (name != "tokenizer_config.json") {
      has_tokenizer = true;
      continue;
    }
    absl::StatusOr<boost::json::value> config = ParseStrictJson(*content);
    if (!config.ok()) {
      return absl::Status(config.status().code(), absl::StrCat(path, ": ", config.status().message()));
    }
    if (const auto* object = config->if_object(); object != nullptr) {
      const auto* member = object->if_contains("chat_template");
      if (member != nullptr && !member->is_null()) template_bytes = Framed(name, boost::json::serialize(*member));
    }
  }
  const absl::StatusOr<std::string> jinja = ReadFile(absl::StrCat(model_dir, "/chat_template.jinja"), kMaxFileBytes);
  if (jinja.ok()) {
    template_bytes = Framed("chat_template.jinja", *jinja);
  } else if (!absl::IsNotFound(jinja.status())) {
    return jinja.status();
  }
  ModelFileHashes hashes;
  if (has_tokenizer) hashes.tokenizer = Sha256Hex(tokenizer_bytes);
  if (!template_bytes.empty()) hashes.chat_template = Sha256Hex(template_bytes);
  return hashes;
}

}  // namespace swiftlet
