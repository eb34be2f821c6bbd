// The command line of `swiftlet bench` as Options. Main thread, before any other starts.
#pragma once

#include <absl/status/statusor.h>

#include <optional>

#include "tools/swiftlet/bench/options.h"

namespace swiftlet::bench {

// nullopt: --help was printed. INVALID_ARGUMENT: one line with what was given, what is needed, and the flag.
absl::StatusOr<std::optional<Options>> ReadOptions(int argc, const char* const* argv);

}  // namespace swiftlet::bench
