// The workers this gateway is attached to, and which one gets a request. Public methods: any thread, they post to the
// control executor, where all else happens. Owned by main; outlives the executor's last run.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
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
  // Exactly one of: outputs until every choice has finished; OnWorkLost.
  void Submit(WorkOrder order);
  // No output follows once the home executor has run what was posted before this took effect.
  void Cancel(uint64_t request_id);
  // Closes all streams; every order is lost.
  void Stop();

  struct Counts {
    int64_t known = 0;
    int64_t attached = 0;
    int64_t routable = 0;
    int64_t outstanding = 0;  // submissions whose choices have not all finished; as of the last change of a link
  };
  Counts counts() const;

  // What one attached worker has to do.
  struct Outstanding {
    std::string address;
    int64_t requests = 0;  // of this gateway
    int64_t tokens = 0;    // WorkerLink::LoadTokens
  };
  // Any thread but the control executor's: asks that, and waits a moment. Nullopt when it is busy for longer.
  std::optional<std::vector<Outstanding>> ByWorker();

 private:
  void OnLinkChanged();
  void Publish();
  void Place(const WorkOrder& order);
  // UNAVAILABLE where none will do.
  absl::StatusOr<WorkerLink*> Choose(const WorkOrder& order) const;
  void UpdateOutstanding();

  const Options options_;
  const Executor control_;
  Clock& clock_;
  WorkerTransport& transport_;
  ModelDirectory& directory_;
  std::map<std::string, std::shared_ptr<WorkerLink>> links_;  // by address
  uint64_t links_made_ = 0;
  bool publishing_ = false;  // a Publish is posted
  std::atomic<int64_t> known_{0};
  std::atomic<int64_t> attached_{0};
  std::atomic<int64_t> routable_{0};
  std::atomic<int64_t> outstanding_{0};
};

}  // namespace swiftlet
