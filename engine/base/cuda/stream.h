// A CUDA stream and a CUDA event, owned. Used by one thread at a time; move-only.
#pragma once

#include <absl/status/statusor.h>
#include <cuda_runtime_api.h>

#include <utility>

namespace swiftlet {

class Stream {
 public:
  Stream() = default;
  // On the calling thread's device, not synchronising with the default stream.
  static absl::StatusOr<Stream> Create();
  ~Stream();
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  cudaStream_t get() const { return stream_; }
  absl::Status Synchronize() const;

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() = default;
  // `timing`: usable with MillisecondsSince.
  static absl::StatusOr<Event> Create(bool timing);
  ~Event();
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  cudaEvent_t get() const { return event_; }
  absl::Status Record(const Stream& stream) const;
  absl::Status Synchronize() const;
  // Both were recorded and have completed.
  absl::StatusOr<float> MillisecondsSince(const Event& begin) const;

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace swiftlet
