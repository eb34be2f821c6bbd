#include "services/text/decode/incremental_decoder.h"

#include <algorithm>

namespace swiftlet {
namespace {

// The lists have a handful of entries.
bool Contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

void IncrementalDecoder::Push(int32_t id, std::string& out) {
  if (Contains(rules_.silent_ids, id)) return;
  if (vocabulary_.IsSpecial(id) && !Contains(rules_.kept_special_ids, id)) return;
  std::string_view bytes = vocabulary_.Bytes(id);
  if (at_start_ && !bytes.empty()) {
    at_start_ = false;
    if (bytes.front() == ' ') bytes.remove_prefix(1);
  }
  characters_.Push(bytes, out);
}

}  // namespace swiftlet
