#include "services/gateway/workers/worker_choice.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace swiftlet {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every input bit reaches every output bit.
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

uint64_t MixText(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = Mix(hash ^ static_cast<uint8_t>(c));
  return Mix(hash ^ text.size());
}

}  // namespace

uint64_t PrefixHash(std::string_view cache_salt, std::span<const int32_t> prompt_ids) {
  constexpr size_t kBlockTokens = 64;
  constexpr size_t kMaxBlocks = 4;
  const size_t blocks = std::min(prompt_ids.size() / kBlockTokens, kMaxBlocks);
  const size_t count = blocks > 0 ? blocks * kBlockTokens : prompt_ids.size();
  uint64_t hash = MixText(0, cache_salt);
  for (const int32_t id : prompt_ids.first(count)) hash = Mix(hash ^ static_cast<uint32_t>(id));
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
