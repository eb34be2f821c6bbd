// What the load generator itself took, so that its own limits are not taken for the server's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/swiftlet/bench/measurements.h"

namespace swiftlet::bench {

// Of one thread since it began.
struct ThreadUse {
  double cpu_s = 0;
  double waited_s = 0;  // ready to run while other programs had the cores
};

// Of the calling thread.
ThreadUse ThisThreadUse();
// CPU seconds of the process.
double ProcessCpuSeconds();

// Over a run.
struct ClientUse {
  double cpu_share = 0;             // of the process, 1 = one core full
  double busiest_thread_share = 0;  // of the load's threads
  double most_waited_share = 0;     // of them, what the one that waited most waited for a core
  int threads = 0;
};

// One line for each reason to doubt the figures: a thread was busy for more than 90 % of the time, waited for a core
// for more than 10 %, or requests began late.
std::vector<std::string> ClientWarnings(const ClientUse& use, const Measurements& measured);

}  // namespace swiftlet::bench
