// What this machine can do at best, measured now: the floors that benchmarks of the CPU engine stand beside.
// Machines of one name differ by a factor of two, and neighbours take their share, hence in the same run.
#pragma once

#include <string>

namespace swiftlet {

struct CpuFloors {
  double read_gb_per_s = 0;    // all threads reading memory far larger than the caches, 1e9 bytes
  double dot_gflop_per_s = 0;  // all threads, operands in registers; 2 operations per multiply-add
  std::string dot_name;        // "vdpbf16ps", or "float32 multiply-add" where the CPU lacks it
};

// Takes about a second and half a gigabyte. The best of several short rounds: a floor is what nothing beats.
CpuFloors MeasureCpuFloors(int num_threads);

}  // namespace swiftlet
