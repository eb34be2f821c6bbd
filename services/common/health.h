// What a process says of itself: the one state behind /readyz, the gRPC health service and the shutdown order.
// Owned by main. Thread-safe; the listener is called under the lock of Set, so that changes arrive in order.
#pragma once

#include <functional>
#include <mutex>
#include <string>

namespace swiftlet {

enum class HealthState { kStarting, kServing, kDraining };

class Health {
 public:
  struct Snapshot {
    HealthState state = HealthState::kStarting;
    std::string reason;  // why not serving; empty while serving
  };

  // Draining is final: a later Set changes nothing.
  void Set(HealthState state, std::string reason = "");
  Snapshot Get() const;
  bool serving() const { return Get().state == HealthState::kServing; }

  // Called at once and at every later change, with "serving". One listener; nullptr removes it.
  void Listen(std::function<void(bool serving)> listener);

 private:
  mutable std::mutex mutex_;
  Snapshot snapshot_ = {HealthState::kStarting, "starting"};  // guarded by mutex_
  std::function<void(bool)> listener_;                        // guarded by mutex_
};

}  // namespace swiftlet
