// The GPU's figures among the worker's metrics. Owned by WorkerMetrics. A thread of its own asks the device once a
// second, so that neither a scrape nor a step waits for the driver; a device that stops answering loses its series, and
// its thread is left behind in the driver when the worker ends.
#pragma once

#include <chrono>
#include <memory>
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
  std::chrono::milliseconds parting{2000};  // the destructor's longest wait for a reading under way
};

class GpuMetrics {
 public:
  // Has no series without Watch.
  explicit GpuMetrics(Metrics& metrics);
  ~GpuMetrics();

  // Once, before any Collect; waits for the first reading.
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
  // The device and what it told last, for the thread and for us.
  struct Reader;
  void Show(const GpuReading& reading);

  Metrics::Counters& energy_family_;
  Metrics::Gauges& info_family_;
  std::vector<Figure> figures_;            // the collector's, as the next two
  prometheus::Counter* energy_ = nullptr;  // joules
  prometheus::Gauge* info_ = nullptr;
  std::shared_ptr<Reader> reader_;  // null before Watch
  std::thread thread_;
};

}  // namespace swiftlet
