// The requests of a run: a pure function of (options, index), so that two runs send the same bytes.
#pragma once

#include <cstdint>
#include <string>

#include "tools/swiftlet/bench/options.h"

namespace swiftlet::bench {

// The JSON body of request `index`. Every prompt begins with words of its own, so that no prefix is shared.
std::string RequestBody(const Options& options, int64_t index);

}  // namespace swiftlet::bench
