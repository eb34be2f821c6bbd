// What each token id stands for in text, as bytes: all that decoding needs of a tokenizer. Filled once, then shared
// immutable by every decoder of the process; any thread reads it.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

class Vocabulary {
 public:
  // Appends the id size(). INVALID_ARGUMENT when the table would exceed 2 GiB of bytes.
  absl::Status Append(std::string_view bytes);
  // OUT_OF_RANGE unless 0 <= id < size().
  absl::Status MarkSpecial(int32_t id);
  // OUT_OF_RANGE unless 0 <= id < size(); INVALID_ARGUMENT unless the id stands for one byte.
  absl::Status MarkByteFallback(int32_t id);

  int32_t size() const { return static_cast<int32_t>(flags_.size()); }
  // Empty for ids outside the table: the logits may be wider than the tokenizer's list.
  std::string_view Bytes(int32_t id) const {
    if (id < 0 || id >= size()) return {};
    return std::string_view(bytes_).substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
  }
  // Left out of decoded text.
  bool IsSpecial(int32_t id) const { return Has(id, kSpecial); }
  // One raw byte of a character that has no token of its own.
  bool IsByteFallback(int32_t id) const { return Has(id, kByteFallback); }
  // The special ids spelled `bytes`, in order.
  std::vector<int32_t> SpecialIdsSpelled(std::string_view bytes) const;

 private:
  enum Flag : uint8_t { kSpecial = 1, kByteFallback = 2 };
  bool Has(int32_t id, Flag flag) const { return id >= 0 && id < size() && (flags_[id] & flag) != 0; }

  std::string bytes_;                    // of all ids, one after the other
  std::vector<uint32_t> offsets_ = {0};  // size() + 1 offsets into bytes_
  std::vector<uint8_t> flags_;           // of each id
  std::vector<int32_t> special_ids_;
};

}  // namespace swiftlet
