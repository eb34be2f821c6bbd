// The GPU's figures among the worker's metrics. Owned by WorkerMetrics. A thread of its own asks the device once a
// second, so that neither a scrape nor a step waits for the driver; a device that stops answering loses its series.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "services/common/metrics.h"
#include "services/model_worker/nvml_device.h"

namespace swiftlet {

struct GpuMetricsOptions {
  std::chrono::milliseconds period{1000};   // between two readings
  std::chrono::milliseconds stale{10'000};  // age of the last reading from which on there are no series
};

class GpuMetrics {
 public:
  // Has no series before Watch.
  explicit GpuMetrics(Metrics& metrics);
  ~GpuMetrics();

  // Once. A scrape after this finds the first reading.
  void Watch(std::unique_ptr<NvmlDevice> device, const GpuMetricsOptions& options = {});
  // By the collector.
  void Collect();

 private:
  // One figure: a series while there is a value.
  struct Figure {
    Metrics::Gauges* family;
    std::optional<double> GpuReading::*value;
    Metrics::Labels labels;  // beside `gpu`
    prometheus::Gauge* gauge = nullptr;
  };
  void Show(const GpuReading& reading);
  void ReadOn();

  Metrics::Counters& energy_family_;
  Metrics::Gauges& info_family_;
  std::vector<Figure> figures_;            // the collector's, as the next two
  prometheus::Counter* energy_ = nullptr;  // joules
  prometheus::Gauge* info_ = nullptr;
  GpuMetricsOptions options_;
  std::unique_ptr<NvmlDevice> device_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;  // guarded by mutex_, as are the next two
  GpuReading latest_;
  std::chrono::steady_clock::time_point read_at_;
  std::thread thread_;
};

}  // namespace swiftlet
