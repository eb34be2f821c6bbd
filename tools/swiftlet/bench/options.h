// What `swiftlet bench` is asked to do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "tools/swiftlet/client/server_url.h"

namespace swiftlet::bench {

// Tokens: a fixed number, or drawn evenly from [low, high].
struct LengthRange {
  int32_t low = 0;
  int32_t high = 0;
};

// "128" or "64:256". INVALID_ARGUMENT otherwise, or when not 1 <= low <= high <= 1,000,000.
absl::StatusOr<LengthRange> ParseLengthRange(std::string_view text);

struct Options {
  ServerUrl target;            // http; https is not spoken
  std::string model;             // empty: the first of /v1/models
  std::string api_key;           // empty: none is sent
  bool chat = true;              // /v1/chat/completions with text, else /v1/completions with token ids
  int32_t concurrency = 32;      // streams open at any time, >= 1
  int64_t requests = 1000;       // >= 1
  double request_rate = 0;       // > 0: requests begin at this many a second, at random, while streams are free
  int64_t warmup_requests = 0;   // run before, not counted
  LengthRange input_tokens{128, 128};   // words in a chat, ids in a completion
  LengthRange output_tokens{128, 128};  // max_tokens; reached, as end-of-sequence is ignored unless stop_at_eos
  bool stop_at_eos = false;
  float temperature = -1;        // < 0: the server's default
  float top_p = -1;              // likewise
  uint64_t seed = 1;             // of prompts and lengths
  int32_t threads = 0;           // of the load generator; 0 = DefaultThreads
  int32_t vocabulary_size = 256; // ids of completion prompts are drawn from [0, vocabulary_size)
  int64_t timeout_s = 600;       // one request
  bool live = true;              // a line a second on stderr
  std::string json_path;         // empty: no file
};

// One thread for 128 streams, a quarter of the machine at most: a thread takes about 100,000 chunks a second.
int32_t DefaultThreads(int32_t concurrency, int32_t cores);

}  // namespace swiftlet::bench
