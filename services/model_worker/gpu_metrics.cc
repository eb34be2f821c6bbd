#include "services/model_worker/gpu_metrics.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "services/common/logging.h"

namespace swiftlet {

using Clock = std::chrono::steady_clock;

struct GpuMetrics::Reader {
  Reader(std::unique_ptr<NvmlDevice> watched, const GpuMetricsOptions& given)
      : device(std::move(watched)), options(given), latest(device->Read()), read_at(Clock::now()) {}

  void ReadOn() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!changed.wait_for(lock, options.period, [this] { return stopping; })) {
      lock.unlock();
      const GpuReading reading = device->Read();
      lock.lock();
      latest = reading;
      read_at = Clock::now();
    }
    ended = true;
    changed.notify_all();
  }
  GpuReading Latest() {
    std::lock_guard<std::mutex> lock(mutex);
    return Clock::now() - read_at <= options.stale ? latest : GpuReading();
  }

  const std::unique_ptr<NvmlDevice> device;
  const GpuMetricsOptions options;
  std::mutex mutex;  // guards all below
  std::condition_variable changed;
  bool stopping = false;
  bool ended = false;
  GpuReading latest;
  Clock::time_point read_at;
};

GpuMetrics::GpuMetrics(Metrics& metrics)
    : energy_family_(metrics.AddCounters("swiftlet_gpu_energy_joules_total",
                                         "Energy the GPU has used since its driver was loaded.", {"gpu"})),
      info_family_(
          metrics.AddGauges("swiftlet_gpu_info", "1; the labels say which GPU this worker runs on.", {"gpu", "uuid"})) {
  const auto add = [&](const char* name, const char* help, std::optional<double> GpuReading::*value,
                       const Metrics::Labels& labels = {}) {
    std::set<std::string> names = {"gpu"};
    for (const auto& [label, unused] : labels) names.insert(label);
    figures_.push_back({&metrics.AddGauges(name, help, names), value, labels});
  };
  add("swiftlet_gpu_utilization_ratio", "Share of the time in which a kernel of any process ran on the GPU, by NVML.",
      &GpuReading::utilisation);
  add("swiftlet_gpu_memory_utilization_ratio",
      "Share of the time in which the GPU's memory was read or written, by NVML.", &GpuReading::memory_utilisation);
  add("swiftlet_gpu_memory_used_bytes", "Memory of the GPU in use by all processes and the driver.",
      &GpuReading::memory_used_bytes);
  add("swiftlet_gpu_memory_size_bytes", "Memory that the GPU has.", &GpuReading::memory_total_bytes);
  add("swiftlet_gpu_power_watts", "Power the GPU draws.", &GpuReading::power_watts);
  add("swiftlet_gpu_power_limit_watts", "Power the GPU may draw.", &GpuReading::power_limit_watts);
  constexpr char kClockHelp[] = "Clock of the GPU's multiprocessors and of its memory.";
  add("swiftlet_gpu_clock_hertz", kClockHelp, &GpuReading::sm_clock_hertz, {{"clock", "sm"}});
  add("swiftlet_gpu_clock_hertz", kClockHelp, &GpuReading::memory_clock_hertz, {{"clock", "memory"}});
  add("swiftlet_gpu_temperature_celsius", "Temperature of the GPU.", &GpuReading::temperature_celsius);
}

GpuMetrics::~GpuMetrics() {
  if (!thread_.joinable()) return;
  std::unique_lock<std::mutex> lock(reader_->mutex);
  reader_->stopping = true;
  reader_->changed.notify_all();
  const bool ended = reader_->changed.wait_for(lock, reader_->options.parting, [this] { return reader_->ended; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    LogWarning("the GPU's driver does not answer: the thread that asks it is left behind");
    thread_.detach();
  }
}

void GpuMetrics::Watch(std::unique_ptr<NvmlDevice> device, const GpuMetricsOptions& options) {
  reader_ = std::make_shared<Reader>(std::move(device), options);
  thread_ = std::thread([reader = reader_] { reader->ReadOn(); });
}

void GpuMetrics::Collect() {
  if (reader_ != nullptr) Show(reader_->Latest());
}

void GpuMetrics::Show(const GpuReading& reading) {
  const std::string gpu = std::to_string(reader_->device->index());
  if (info_ == nullptr) {
    info_ = &info_family_.Add({{"gpu", gpu}, {"uuid", reader_->device->uuid()}});
    info_->Set(1);
  }
  for (Figure& figure : figures_) {
    const std::optional<double> value = reading.*figure.value;
    if (!value.has_value()) {
      if (figure.gauge != nullptr) figure.family->Remove(std::exchange(figure.gauge, nullptr));
      continue;
    }
    if (figure.gauge == nullptr) {
      Metrics::Labels labels = figure.labels;
      labels["gpu"] = gpu;
      figure.gauge = &figure.family->Add(labels);
    }
    figure.gauge->Set(*value);
  }
  if (!reading.energy_joules.has_value()) {
    if (energy_ != nullptr) energy_family_.Remove(std::exchange(energy_, nullptr));
    return;
  }
  if (energy_ == nullptr) energy_ = &energy_family_.Add({{"gpu", gpu}});
  RaiseTo(*energy_, *reading.energy_joules);
}

}  // namespace swiftlet
