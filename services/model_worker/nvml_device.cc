#include "services/model_worker/nvml_device.h"

#include <absl/strings/str_cat.h>

#include "engine/base/dynamic_library.h"
#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

// These, names and types as NVIDIA's "NVML API Reference Guide" documents them.
constexpr int kSuccess = 0;
constexpr int kSmClock = 1;
constexpr int kMemoryClock = 2;
constexpr int kGpuTemperature = 0;

// What `function` writes, times `unit`.
template <typename Number, typename Function, typename... Arguments>
std::optional<double> Ask(double unit, Function* function, Arguments... arguments) {
  Number number = 0;
  if (function == nullptr || function(arguments..., &number) != kSuccess) return std::nullopt;
  return static_cast<double>(number) * unit;
}

}  // namespace

struct NvmlDevice::Functions {
  struct Utilization {
    unsigned int gpu;  // percent
    unsigned int memory;
  };
  struct Memory {
    unsigned long long total;  // bytes
    unsigned long long free;
    unsigned long long used;
  };

  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error_string)(int) = nullptr;
  int (*handle_by_uuid)(const char*, void**) = nullptr;
  int (*index)(void*, unsigned int*) = nullptr;
  // Those that an older or newer library may lack.
  int (*utilization)(void*, Utilization*) = nullptr;
  int (*memory)(void*, Memory*) = nullptr;
  int (*power)(void*, unsigned int*) = nullptr;         // milliwatts
  int (*power_limit)(void*, unsigned int*) = nullptr;   // milliwatts
  int (*energy)(void*, unsigned long long*) = nullptr;  // millijoules
  int (*clock)(void*, int, unsigned int*) = nullptr;    // megahertz
  int (*temperature)(void*, int, unsigned int*) = nullptr;

  absl::Status Load(const DynamicLibrary& library) {
    RETURN_IF_ERROR(library.Load("nvmlInit_v2", &init));
    RETURN_IF_ERROR(library.Load("nvmlShutdown", &shutdown));
    RETURN_IF_ERROR(library.Load("nvmlErrorString", &error_string));
    RETURN_IF_ERROR(library.Load("nvmlDeviceGetHandleByUUID", &handle_by_uuid));
    RETURN_IF_ERROR(library.Load("nvmlDeviceGetIndex", &index));
    library.Load("nvmlDeviceGetUtilizationRates", &utilization).IgnoreError();
    library.Load("nvmlDeviceGetMemoryInfo", &memory).IgnoreError();
    library.Load("nvmlDeviceGetPowerUsage", &power).IgnoreError();
    library.Load("nvmlDeviceGetEnforcedPowerLimit", &power_limit).IgnoreError();
    library.Load("nvmlDeviceGetTotalEnergyConsumption", &energy).IgnoreError();
    library.Load("nvmlDeviceGetClockInfo", &clock).IgnoreError();
    library.Load("nvmlDeviceGetTemperature", &temperature).IgnoreError();
    return absl::OkStatus();
  }
};

NvmlDevice::NvmlDevice() : functions_(std::make_unique<Functions>()) {}

absl::StatusOr<std::unique_ptr<NvmlDevice>> NvmlDevice::Open(const std::string& uuid, const std::string& library) {
  ASSIGN_OR_RETURN(const DynamicLibrary nvml, DynamicLibrary::Open({library.c_str()}));
  std::unique_ptr<NvmlDevice> opened(new NvmlDevice);
  RETURN_IF_ERROR(opened->functions_->Load(nvml));
  const Functions& functions = *opened->functions_;
  if (const int error = functions.init(); error != kSuccess) {
    opened->functions_->shutdown = nullptr;
    return absl::UnavailableError(absl::StrCat("nvmlInit: ", functions.error_string(error)));
  }
  int error = kSuccess;
  for (const char* kind : {"GPU-", "MIG-"}) {
    opened->uuid_ = absl::StrCat(kind, uuid);
    error = functions.handle_by_uuid(opened->uuid_.c_str(), &opened->device_);
    if (error != kSuccess) continue;
    unsigned int index = 0;
    if (functions.index(opened->device_, &index) == kSuccess) opened->index_ = index;
    return opened;
  }
  return absl::NotFoundError(absl::StrCat("NVML does not know GPU ", uuid, ": ", functions.error_string(error)));
}

NvmlDevice::~NvmlDevice() {
  if (functions_->shutdown != nullptr) functions_->shutdown();
}

GpuReading NvmlDevice::Read() const {
  GpuReading reading;
  Functions::Utilization utilization = {};
  if (functions_->utilization != nullptr && functions_->utilization(device_, &utilization) == kSuccess) {
    reading.utilisation = utilization.gpu / 100.0;
    reading.memory_utilisation = utilization.memory / 100.0;
  }
  Functions::Memory memory = {};
  if (functions_->memory != nullptr && functions_->memory(device_, &memory) == kSuccess) {
    reading.memory_used_bytes = static_cast<double>(memory.used);
    reading.memory_total_bytes = static_cast<double>(memory.total);
  }
  const Functions& ask = *functions_;
  reading.power_watts = Ask<unsigned int>(1e-3, ask.power, device_);
  reading.power_limit_watts = Ask<unsigned int>(1e-3, ask.power_limit, device_);
  reading.energy_joules = Ask<unsigned long long>(1e-3, ask.energy, device_);
  reading.sm_clock_hertz = Ask<unsigned int>(1e6, ask.clock, device_, kSmClock);
  reading.memory_clock_hertz = Ask<unsigned int>(1e6, ask.clock, device_, kMemoryClock);
  reading.temperature_celsius = Ask<unsigned int>(1, ask.temperature, device_, kGpuTemperature);
  return reading;
}

}  // namespace swiftlet
