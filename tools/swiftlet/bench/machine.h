// Where and when a run was made, for its record.
#pragma once

#include <string>

namespace swiftlet::bench {

struct Machine {
  std::string time_utc = {};  // "2026-11-23T17:05:00Z"
  std::string cpu = {};       // the model's name
  int cores = 0;              // that this process may use
  double load_average = 0;    // of the last minute
  std::string system = {};    // "Linux 6.1.0 x86_64"
};

Machine ThisMachine();

}  // namespace swiftlet::bench
