// A client that speaks to the worker itself, over the stream that a gateway uses: what passes here between a token's
// leaving the engine and its arrival is not the gateway's doing. Owned by main.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/cc/gateway_load/mock_worker.h"

namespace swiftlet {

struct DirectLoadOptions {
  std::string worker_address;
  int32_t tokens = 100;  // of every request
  double rate = 32;      // requests a second
  double seconds = 5;
};

struct DirectLoadResult {
  int64_t answers = 0;
  std::vector<double> first_added_us;  // a request's way to the engine and its first token's way back
  std::vector<double> token_added_us;  // the way of each further token
};

// The requests' streams are numbered from 0 up to rate * seconds.
DirectLoadResult RunDirectLoad(const DirectLoadOptions& options, const TokenTimes& times);

}  // namespace swiftlet
