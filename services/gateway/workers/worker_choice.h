// Which worker gets a prompt: the one whose prefix cache likely has its beginning, unless that one is too busy. Pure,
// and the same on every gateway, so that all of them agree without talking.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace swiftlet {

// Of the salt and the first whole blocks of the prompt, at most 4 of 64 tokens; of all ids when there is no whole
// block. The same in every process and build: it does not depend on a hash function's seed.
uint64_t PrefixHash(std::string_view cache_salt, std::span<const int32_t> prompt_ids);

struct WorkerCandidate {
  std::string_view address;  // what all gateways know a worker by
  int64_t load_tokens = 0;
};

// Rendezvous hashing (Thaler and Ravishankar 1998): the candidate with the highest hash of (prefix, address). If its
// load is above `spill_ratio` times the mean, the less loaded of it and the second. `candidates` is not empty.
size_t ChooseWorker(std::span<const WorkerCandidate> candidates, uint64_t prefix_hash, double spill_ratio);

}  // namespace swiftlet
