// A libnvidia-ml without a GPU behind it: the functions that nvml_device.cc looks up, and no header of ours. Tests
// steer it through fake_nvml_ functions.
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

namespace {

constexpr const char* kUuid = "GPU-01234567-89ab-cdef-0123-456789abcdef";
std::atomic<int> open_count = 0;
std::atomic<bool> lost = false, hanging = false;

int device = 0;

template <typename Number>
int Tell(void* asked, Number value, Number* out) {
  while (hanging) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (lost) return 15;  // NVML_ERROR_GPU_IS_LOST
  if (asked != &device || open_count == 0) return 1;
  *out = value;
  return 0;
}

}  // namespace

extern "C" {

struct Utilization {
  unsigned int gpu, memory;
};
struct Memory {
  unsigned long long total, free, used;
};

int nvmlInit_v2() {
  ++open_count;
  return 0;
}
int nvmlShutdown() {
  --open_count;
  return 0;
}
const char* nvmlErrorString(int error) {
  return error == 6 ? "Not Found" : "Unknown Error";
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** found) {
  if (std::strcmp(uuid, kUuid) != 0) return 6;
  *found = &device;
  return 0;
}
int nvmlDeviceGetIndex(void* asked, unsigned int* index) {
  return Tell(asked, 3u, index);
}
int nvmlDeviceGetUtilizationRates(void* asked, Utilization* rates) {
  return Tell(asked, Utilization{87, 42}, rates);
}
int nvmlDeviceGetMemoryInfo(void* asked, Memory* memory) {
  return Tell(asked, Memory{80'000'000'000, 30'000'000'000, 50'000'000'000}, memory);
}
int nvmlDeviceGetPowerUsage(void* asked, unsigned int* milliwatts) {
  return Tell(asked, 612'500u, milliwatts);
}
// No nvmlDeviceGetEnforcedPowerLimit: a library may lack some.
int nvmlDeviceGetTotalEnergyConsumption(void* asked, unsigned long long* millijoules) {
  return Tell(asked, 7'000'250ull, millijoules);
}
int nvmlDeviceGetClockInfo(void* asked, int clock, unsigned int* megahertz) {
  return Tell(asked, clock == 1 ? 1980u : clock == 2 ? 2619u : 0u, megahertz);
}
int nvmlDeviceGetTemperature(void* asked, int sensor, unsigned int* celsius) {
  return sensor == 0 ? Tell(asked, 61u, celsius) : 2;
}

int fake_nvml_open_count() {
  return open_count;
}
void fake_nvml_lose(bool is_lost) {
  lost = is_lost;
}
void fake_nvml_hang(bool hangs) {
  hanging = hangs;
}

}  // extern "C"
