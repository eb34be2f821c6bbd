// One GPU: what it is and what it can do. Opened once at start, by the thread that will use it; a plain value then.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

namespace swiftlet {

struct Device {
  int32_t ordinal = 0;
  std::string name;                // "NVIDIA H200"
  std::string uuid;                // 8-4-4-4-12 hexadecimal digits, as NVML writes them after "GPU-" or "MIG-"
  int32_t compute_capability = 0;  // 90 for 9.0
  int32_t num_sms = 0;
  int64_t total_bytes = 0;
  int64_t l2_bytes = 0;
  int32_t max_shared_bytes = 0;  // that one block can have, opted in
  int32_t driver_version = 0;    // 13000 for 13.0: the newest CUDA that the driver serves

  bool has_programmatic_launch() const { return compute_capability >= 90; }
};

// The number of devices. UNAVAILABLE, saying what is missing, without a driver or with one that is too old.
absl::StatusOr<int32_t> CountDevices();

// Makes `ordinal` the calling thread's device. INVALID_ARGUMENT for an ordinal that is not there or a GPU older than
// sm_75; UNAVAILABLE as above.
absl::StatusOr<Device> OpenDevice(int32_t ordinal);

// Free bytes of the calling thread's device, whoever uses the rest.
absl::StatusOr<int64_t> FreeDeviceBytes();

}  // namespace swiftlet
