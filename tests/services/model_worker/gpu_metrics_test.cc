#include "services/model_worker/gpu_metrics.h"

#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/dynamic_library.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kUuid[] = "01234567-89ab-cdef-0123-456789abcdef";

// What steers the fake library.
struct FakeNvml {
  int (*open_count)() = nullptr;
  void (*lose)(bool) = nullptr;
  void (*hang)(bool) = nullptr;
};

FakeNvml OpenFakeNvml() {
  const auto library = DynamicLibrary::Open({SWIFTLET_FAKE_NVML});
  CHECK(library.ok()) << library.status().ToString();
  FakeNvml fake;
  for (const absl::Status& status :
       {library->Load("fake_nvml_open_count", &fake.open_count), library->Load("fake_nvml_lose", &fake.lose),
        library->Load("fake_nvml_hang", &fake.hang)}) {
    CHECK(status.ok()) << status.ToString();
  }
  return fake;
}

// Scrapes until there is a figure of the power, or none; at most some seconds.
std::string RenderUntilPowerIs(bool there, Metrics& metrics) {
  std::string text = metrics.Render();
  for (int i = 0; i < 1000 && (text.find("swiftlet_gpu_power_watts{") != std::string::npos) != there; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    text = metrics.Render();
  }
  return text;
}

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
  const FakeNvml fake = OpenFakeNvml();
  Metrics metrics;
  {
    GpuMetrics gpu(metrics);
    metrics.AddCollector([&] { gpu.Collect(); });
    auto device = NvmlDevice::Open(kUuid, SWIFTLET_FAKE_NVML);
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_EQ(fake.open_count(), 1);
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
    fake.lose(true);
    text = RenderUntilPowerIs(false, metrics);
    EXPECT_THAT(text, Not(HasSubstr("swiftlet_gpu_power_watts")));
    EXPECT_THAT(text, Not(HasSubstr("swiftlet_gpu_energy")));
    fake.lose(false);
  }
  EXPECT_EQ(fake.open_count(), 0);
}

// A scrape never waits for the driver.
TEST(GpuMetrics, AreGoneWhileTheDriverHangs) {
  const FakeNvml fake = OpenFakeNvml();
  Metrics metrics;
  GpuMetrics gpu(metrics);
  metrics.AddCollector([&] { gpu.Collect(); });
  auto device = NvmlDevice::Open(kUuid, SWIFTLET_FAKE_NVML);
  ASSERT_TRUE(device.ok()) << device.status();
  gpu.Watch(*std::move(device), {.period = std::chrono::milliseconds(5), .stale = std::chrono::milliseconds(200)});
  fake.hang(true);
  EXPECT_THAT(RenderUntilPowerIs(false, metrics), Not(HasSubstr("swiftlet_gpu_power_watts")));
  fake.hang(false);
  EXPECT_THAT(RenderUntilPowerIs(true, metrics), HasSubstr("swiftlet_gpu_power_watts{gpu=\"3\"} 612.5\n"));
}

TEST(GpuMetrics, EndsWhileTheDriverHangs) {
  const FakeNvml fake = OpenFakeNvml();
  Metrics metrics;
  {
    GpuMetrics gpu(metrics);
    auto device = NvmlDevice::Open(kUuid, SWIFTLET_FAKE_NVML);
    ASSERT_TRUE(device.ok()) << device.status();
    gpu.Watch(*std::move(device), {.period = std::chrono::milliseconds(5),
                                   .stale = std::chrono::milliseconds(200),
                                   .parting = std::chrono::milliseconds(20)});
    metrics.AddCollector([&] { gpu.Collect(); });
    fake.hang(true);
    EXPECT_THAT(RenderUntilPowerIs(false, metrics), Not(HasSubstr("swiftlet_gpu_power_watts"))) << "it hangs";
  }
  EXPECT_EQ(fake.open_count(), 1) << "what hangs still has the library";
  fake.hang(false);
  for (int i = 0; i < 1000 && fake.open_count() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(fake.open_count(), 0);
}

}  // namespace
}  // namespace swiftlet
