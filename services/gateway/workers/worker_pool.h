// The workers this gateway is attached to, and which one gets a request. Public methods: any thread. A request goes out
// on the caller's thread and its outputs come back on the transport's, without a turn on another; which workers there
// are and how they are is the control executor's to say. Owned by main; outlives the executor's last run and the
// transport's last event.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "services/gateway/clock.h"
#include "services/gateway/model_directory.h"
#include "services/gateway/workers/work_order.h"
#include "services/gateway/workers/worker_link.h"
#include "services/gateway/workers/worker_transport.h"

namespace swiftlet {

class WorkerPool {
 public:
  struct Options {
    WorkerLink::Options link;
    double spill_ratio = 1.25;  // load over the mean above which a prompt leaves the worker that its hash names
  };

  // What stands under the pool outlives it.
  WorkerPool(const Options& options, Executor control, Clock& clock, WorkerTransport& transport,
             ModelDirectory& directory);

  // The workers there are, as host:port. One that is no longer listed keeps what it runs and gets nothing new.
  void SetAddresses(std::vector<std::string> addresses);
  // The worker it is on its way to; then come, exactly one of: outputs until every choice has finished; OnWorkLost.
  // UNAVAILABLE: there is none for it; RESOURCE_EXHAUSTED: the way to it is full.
  absl::StatusOr<std::shared_ptr<const v1::WorkerHello>> Submit(WorkOrder order);
  // No output follows once the home executor has run what was posted before.
  void Cancel(uint64_t request_id);
  // Closes all streams; every order is lost.
  void Stop();

  struct Counts {
    int64_t known = 0;
    int64_t attached = 0;
    int64_t routable = 0;
    int64_t outstanding = 0;  // submissions whose choices have not all finished
  };
  Counts counts() const;

  // What one attached worker has to do.
  struct Outstanding {
    std::string address;
    int64_t requests = 0;  // of this gateway
    int64_t tokens = 0;    // WorkerLink::LoadTokens
  };
  std::vector<Outstanding> ByWorker() const;

 private:
  using Lock = std::lock_guard<std::mutex>;

  // With the lock held.
  void OnLinkChanged();
  // UNAVAILABLE where none will do.
  absl::StatusOr<WorkerLink*> Choose(const WorkOrder& order) const;
  // On the control executor.
  void Publish();

  const Options options_;
  const Executor control_;
  Clock& clock_;
  WorkerTransport& transport_;
  ModelDirectory& directory_;

  mutable std::mutex mutex_;                                  // guards all below, and what is in the links
  std::map<std::string, std::shared_ptr<WorkerLink>> links_;  // by address
  uint64_t links_made_ = 0;
  bool publishing_ = false;  // a Publish is posted
};

}  // namespace swiftlet
