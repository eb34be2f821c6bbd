// Which versions of the Attach protocol (model.proto) this build speaks, for gateway and worker alike: two peers talk
// in the highest one that both speak. Processes of two releases meet whenever a service is brought up to date.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace swiftlet::attach_protocol {

inline constexpr int32_t kOldest = 1;
inline constexpr int32_t kNewest = 2;
// From here on a worker reads Submit.grammar and Submit.reasoning; an older one would leave them out in silence.
inline constexpr int32_t kWithGrammars = 2;

// With a peer that speaks `oldest` to `newest`; nullopt where there is none.
constexpr std::optional<int32_t> Agreed(int32_t oldest, int32_t newest) {
  const int32_t highest = std::min(newest, kNewest);
  if (highest < std::max(oldest, kOldest)) return std::nullopt;
  return highest;
}

}  // namespace swiftlet::attach_protocol
