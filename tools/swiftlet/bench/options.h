// What `swiftlet bench` is asked to do, checked as a whole before anything is sent.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "services/common/tls_material.h"
#include "tools/swiftlet/bench/arrivals.h"
#include "tools/swiftlet/bench/goodput.h"
#include "tools/swiftlet/bench/lengths.h"
#include "tools/swiftlet/client/server_url.h"

namespace swiftlet::bench {

enum class Endpoint { kChat, kCompletions, kGrpc };

// The route as people name it: "/v1/chat/completions", "swiftlet.v1.InferenceService/Generate".
std::string_view RouteName(Endpoint endpoint);

// The points of a sweep: each runs with this rate or this concurrency in the place of Options' own.
struct Sweep {
  bool over_rate = false;
  std::vector<double> values;  // empty: no sweep
};

struct Options {
  ServerUrl target;
  TlsPaths tls;
  std::string server_name;  // that the server's certificate must be made out to
  std::string model;        // empty: the first that the server lists
  std::string api_key;      // empty: none is sent
  Endpoint endpoint = Endpoint::kChat;
  bool token_ids = false;       // prompts of ids; never with kChat
  ArrivalProcess arrivals;      // with a rate: an open loop, whatever the server does
  int32_t concurrency = 32;     // closed loop: streams kept open; open loop: most at once, 0 = no bound
  int64_t requests = 1000;      // 0 = as many as begin in duration_s
  double duration_s = 0;        // requests begin for so long; 0 = until all have begun
  int64_t warmup_requests = 0;  // before, in a closed loop, not counted
  Lengths input_tokens;         // words of a text prompt, ids of an id prompt
  Lengths output_tokens;        // max_tokens; reached, as end-of-sequence is ignored unless stop_at_eos
  std::string dataset_path;     // prompts or lengths from a file; see dataset.h
  bool stop_at_eos = false;
  double temperature = -1;        // < 0: the server's default
  double top_p = -1;              // likewise
  uint64_t seed = 1;              // of arrivals, prompts and lengths
  int32_t threads = 0;            // 0 = DefaultThreads
  int32_t vocabulary_size = 256;  // ids of prompts are drawn from [0, vocabulary_size)
  double timeout_s = 600;         // one request
  Goodput goodput;
  bool has_goodput = false;
  Sweep sweep;
  std::string json_path;  // empty: no file
  std::string plot_path;  // likewise; with a sweep alone
  bool live = true;       // a line a second on stderr
  std::string command;    // as typed, without the key

  bool open_loop() const { return arrivals.rate > 0; }
};

// "rate:1,2,4" or "concurrency:1,8,64", rising. INVALID_ARGUMENT otherwise.
absl::StatusOr<Sweep> ParseSweep(std::string_view text);

// One thread for 128 streams, a quarter of the machine at most.
int32_t DefaultThreads(int32_t concurrency, int32_t cores);

}  // namespace swiftlet::bench
