// One GPU as NVIDIA's management library sees it. The library comes with the driver and is opened at run time: a build
// needs neither it nor its header, and a machine without a driver has none. Any thread, one at a time; calls take
// milliseconds, and hang when the driver does.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace swiftlet {

// As of now; what the device does not tell is not there.
struct GpuReading {
  std::optional<double> utilisation;         // share of the last fraction of a second in which a kernel ran
  std::optional<double> memory_utilisation;  // likewise, in which its memory was read or written
  std::optional<double> memory_used_bytes;   // by all processes
  std::optional<double> memory_total_bytes;
  std::optional<double> power_watts;
  std::optional<double> power_limit_watts;
  std::optional<double> energy_joules;  // since the driver was loaded
  std::optional<double> sm_clock_hertz;
  std::optional<double> memory_clock_hertz;
  std::optional<double> temperature_celsius;
};

class NvmlDevice {
 public:
  // `uuid`: as of Device, without its prefix. UNAVAILABLE without a driver; NOT_FOUND when it does not know the device.
  static absl::StatusOr<std::unique_ptr<NvmlDevice>> Open(const std::string& uuid,
                                                          const std::string& library = "libnvidia-ml.so.1");
  ~NvmlDevice();
  NvmlDevice(const NvmlDevice&) = delete;
  NvmlDevice& operator=(const NvmlDevice&) = delete;

  GpuReading Read() const;
  const std::string& uuid() const { return uuid_; }  // "GPU-..." or "MIG-..."
  uint32_t index() const { return index_; }          // as nvidia-smi counts

 private:
  struct Functions;
  NvmlDevice();

  std::unique_ptr<Functions> functions_;
  void* device_ = nullptr;
  std::string uuid_;
  uint32_t index_ = 0;
};

}  // namespace swiftlet
