// The addresses of a host. The system's look-up blocks, for as long as the machine's name servers let it, and cannot be
// broken off: it has a thread of its own, which goes on alone when nobody waits for it any more.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace swiftlet {

using Addresses = std::vector<std::string>;  // "127.0.0.1", "::1", in the order to try them
using NameLookup = std::function<absl::StatusOr<Addresses>(const std::string& host)>;

// Blocks; any thread. The error is the system's own words.
absl::StatusOr<Addresses> LookUpBySystem(const std::string& host);

// One look-up under way.
class PendingLookup {
 public:
  using Done = std::function<void(absl::StatusOr<Addresses>)>;

  // `done`: once, on the look-up's thread.
  PendingLookup(NameLookup lookup, std::string host, Done done);
  // `done` is not called any more, and does not run. Does not wait for the look-up.
  ~PendingLookup();
  PendingLookup(const PendingLookup&) = delete;
  PendingLookup& operator=(const PendingLookup&) = delete;

 private:
  struct Waiter;
  std::shared_ptr<Waiter> waiter_;
};

}  // namespace swiftlet
