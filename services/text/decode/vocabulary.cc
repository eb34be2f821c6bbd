#include "services/text/decode/vocabulary.h"

#include <absl/strings/str_cat.h>

namespace swiftlet {

absl::Status Vocabulary::Append(std::string_view bytes) {
  constexpr size_t kMaxBytes = size_t{1} << 31;
  if (bytes.size() > kMaxBytes - bytes_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the vocabulary's bytes exceed ", kMaxBytes, " at id ", size()));
  }
  bytes_.append(bytes);
  offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  flags_.push_back(0);
  return absl::OkStatus();
}

absl::Status Vocabulary::MarkSpecial(int32_t id) {
  if (id < 0 || id >= size()) {
    return absl::OutOfRangeError(absl::StrCat("special id ", id, " is outside the vocabulary of ", size()));
  }
  if (!IsSpecial(id)) special_ids_.push_back(id);
  flags_[id] |= kSpecial;
  return absl::OkStatus();
}

absl::Status Vocabulary::MarkByteFallback(int32_t id) {
  if (id < 0 || id >= size()) {
    return absl::OutOfRangeError(absl::StrCat("byte-fallback id ", id, " is outside the vocabulary of ", size()));
  }
  if (Bytes(id).size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("byte-fallback id ", id, " has ", Bytes(id).size(), " bytes"));
  }
  flags_[id] |= kByteFallback;
  return absl::OkStatus();
}

std::vector<int32_t> Vocabulary::SpecialIdsSpelled(std::string_view bytes) const {
  std::vector<int32_t> ids;
  for (const int32_t id : special_ids_) {
    if (Bytes(id) == bytes) ids.push_back(id);
  }
  return ids;
}

}  // namespace swiftlet
