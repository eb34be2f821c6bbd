#include "services/gateway/workers/worker_choice.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "services/common/split_mix.h"

namespace swiftlet {
namespace {

uint64_t MixText(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = SplitMix64(hash ^ static_cast<uint8_t>(c));
  return SplitMix64(hash ^ text.size());
}

}  // namespace

uint64_t PrefixHash(std::string_view cache_salt, std::span<const int32_t> prompt_ids) {
  constexpr size_t kBlockTokens = 64;
  constexpr size_t kMaxBlocks = 4;
  const size_t blocks = std::min(prompt_ids.size() / kBlockTokens, kMaxBlocks);
  const size_t count = blocks > 0 ? blocks * kBlockTokens : prompt_ids.size();
  uint64_t hash = MixText(0, cache_salt);
  for (const int32_t id : prompt_ids.first(count)) hash = SplitMix64(hash ^ static_cast<uint32_t>(id));
  return hash;
}

size_t ChooseWorker(std::span<const WorkerCandidate> candidates, uint64_t prefix_hash, double spill_ratio) {
  CHECK(!candidates.empty()) << "no worker to choose from";
  size_t best = 0;
  size_t second = 0;
  uint64_t best_hash = 0;
  uint64_t second_hash = 0;
  double total_tokens = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    total_tokens += static_cast<double>(candidates[i].load_tokens);
    const uint64_t hash = MixText(prefix_hash, candidates[i].address);
    if (i == 0 || hash > best_hash) {
      second = best;
      second_hash = best_hash;
      best = i;
      best_hash = hash;
    } else if (second == best || hash > second_hash) {
      second = i;
      second_hash = hash;
    }
  }
  const double mean_tokens = total_tokens / static_cast<double>(candidates.size());
  const bool busy = static_cast<double>(candidates[best].load_tokens) > spill_ratio * mean_tokens;
  return busy && candidates[second].load_tokens < candidates[best].load_tokens ? second : best;
}

}  // namespace swiftlet
