// Which requests are alive, by (sink, tag): what Submit and Cancel, on any thread, share with the step thread.
// Bounds what the engine holds, and with it its inbox: a request posts one submission and at most one cancellation.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/runtime/generation_request.h"

namespace swiftlet {

class RequestRegistry {
 public:
  // `max_waiting`: requests accepted and not yet started; `max_alive`: those plus the started ones.
  RequestRegistry(int32_t max_waiting, int32_t max_alive) : max_waiting_(max_waiting), max_alive_(max_alive) {}

  // Any thread. A number for the request, rising in order of acceptance. RESOURCE_EXHAUSTED, the reason once closed,
  // INVALID_ARGUMENT for a tag in use.
  absl::StatusOr<uint64_t> Add(uint64_t tag, const OutputSink* sink);
  // Any thread. The numbers of those alive that nobody has cancelled yet: of one tag, of a sink, of all.
  std::vector<uint64_t> Cancel(uint64_t tag, const OutputSink* sink);
  std::vector<uint64_t> CancelAll(const OutputSink* sink);
  std::vector<uint64_t> CancelEverything();

  // Any thread. Nothing is added afterwards: Add answers with the first `reason` given.
  void Close(absl::Status reason);
  // Any thread. Waits until nothing is alive and all outputs were delivered; false after `timeout`.
  bool WaitUntilEmpty(std::chrono::microseconds timeout);

  // Any thread.
  int32_t num_alive() const;

  // Step thread.
  void Started(uint64_t tag, const OutputSink* sink);
  void Remove(uint64_t tag, const OutputSink* sink);
  void Delivered();  // the last outputs of those removed have reached their sinks

 private:
  using Key = std::pair<const OutputSink*, uint64_t>;
  struct Entry {
    uint64_t number = 0;
    bool started = false;
    bool cancelled = false;
  };

  const int32_t max_waiting_;
  const int32_t max_alive_;
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::map<Key, Entry> entries_;  // these guarded by mutex_
  uint64_t last_number_ = 0;
  int32_t num_waiting_ = 0;
  bool delivered_ = true;
  absl::Status closed_;  // OK while open
};

}  // namespace swiftlet
