// What the load generator itself took, so that its own limits are not taken for the server's.
#pragma once

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

}  // namespace swiftlet::bench
