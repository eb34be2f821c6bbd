#include "services/model_worker/gpu_metrics.h"

#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "engine/base/dynamic_library.h"

namespace swiftlet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kUuid[] = "01234567-89ab-cdef-0123-456789abcdef";

TEST(NvmlDevice, IsUnavailableWithoutADriver) {
  const auto device = NvmlDevice::Open(kUuid, "libswiftlet-no-such-nvml.so.1");
  EXPECT_EQ(device.status().code(), absl::StatusCode::kUnavailable) << device.status();
}

TEST(NvmlDevice, IsNotFoundWhenNvmlDoesNotKnowIt) {
  const auto device = NvmlDevice::Open("ffffffff-89ab-cdef-0123-456789abcdef", SWIFTLET_FAKE_NVML);
  EXPECT_EQ(device.status().code(), absl::StatusCode::kNotFound) << device.status();
}

TEST(NvmlDevice, IsUnavailableWhereTheLibraryIsAnother) {
  const auto device = NvmlDevice::Open(kUuid, "libm.so.6");
  EXPECT_EQ(device.status().code(), absl::StatusCode::kUnavailable) << device.status();
  EXPECT_THAT(std::string(device.status().message()), HasSubstr("nvmlInit_v2"));
}

TEST(GpuMetrics, HasNoSeriesWithoutADevice) {
  Metrics metrics;
  GpuMetrics gpu(metrics);
  metrics.AddCollector([&] { gpu.Collect(); });
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("swiftlet_gpu")));
}

TEST(GpuMetrics, ShowsWhatTheDeviceTellsUntilItIsLost) {
  const auto library = DynamicLibrary::Open({SWIFTLET_FAKE_NVML});
  ASSERT_TRUE(library.ok()) << library.status();
  int (*open_count)() = nullptr;
  void (*lose_device)() = nullptr;
  ASSERT_TRUE(library->Load("fake_nvml_open_count", &open_count).ok());
  ASSERT_TRUE(library->Load("fake_nvml_lose_device", &lose_device).ok());
  Metrics metrics;
  {
    GpuMetrics gpu(metrics);
    metrics.AddCollector([&] { gpu.Collect(); });
    auto device = NvmlDevice::Open(kUuid, SWIFTLET_FAKE_NVML);
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_EQ(open_count(), 1);
    gpu.Watch(*std::move(device), {.period = std::chrono::milliseconds(5)});
    std::string text = metrics.Render();
    for (const char* line : {
             "swiftlet_gpu_info{gpu=\"3\",uuid=\"GPU-01234567-89ab-cdef-0123-456789abcdef\"} 1\n",
             "swiftlet_gpu_utilization_ratio{gpu=\"3\"} 0.87\n",
             "swiftlet_gpu_memory_utilization_ratio{gpu=\"3\"} 0.42\n",
             "swiftlet_gpu_memory_used_bytes{gpu=\"3\"} 50000000000\n",
             "swiftlet_gpu_memory_size_bytes{gpu=\"3\"} 80000000000\n",
             "swiftlet_gpu_power_watts{gpu=\"3\"} 612.5\n",
             "swiftlet_gpu_energy_joules_total{gpu=\"3\"} 7000.25\n",
             "swiftlet_gpu_clock_hertz{clock=\"sm\",gpu=\"3\"} 1980000000\n",
             "swiftlet_gpu_clock_hertz{clock=\"memory\",gpu=\"3\"} 2619000000\n",
             "swiftlet_gpu_temperature_celsius{gpu=\"3\"} 61\n",
         }) {
      EXPECT_THAT(text, HasSubstr(line));
    }
    EXPECT_THAT(text, Not(HasSubstr("power_limit"))) << "this library does not tell";
    lose_device();
    for (int i = 0; i < 1000 && text.find("swiftlet_gpu_power") != std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      text = metrics.Render();
    }
    EXPECT_THAT(text, Not(HasSubstr("swiftlet_gpu_power_watts")));
    EXPECT_THAT(text, Not(HasSubstr("swiftlet_gpu_energy")));
  }
  EXPECT_EQ(open_count(), 0);
}

}  // namespace
}  // namespace swiftlet
