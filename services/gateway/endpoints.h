// Where the tokenizers or the workers are: a list of host:port as the operator wrote it, and the addresses its names
// stand for now. Names are looked up again on a timer, so that the pods of a headless Service come and go.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/clock.h"

namespace swiftlet {

struct Endpoint {
  std::string host;  // name or address, IPv6 without its brackets
  uint16_t port = 0;
};

// "host:port,[::1]:port"; INVALID_ARGUMENT says which entry is wrong.
absl::StatusOr<std::vector<Endpoint>> ParseEndpoints(std::string_view text);
std::string FormatAddress(std::string_view host, uint16_t port);

// Name to addresses, asynchronously. `done` may be called on any thread, once.
class HostLookup {
 public:
  using Done = std::function<void(absl::StatusOr<std::vector<std::string>>)>;
  virtual ~HostLookup() = default;
  virtual void Lookup(const std::string& host, Done done) = 0;
};

// The system's resolver: all A records, AAAA records only of a name that has no A record.
std::unique_ptr<HostLookup> MakeSystemLookup(const Executor& executor);

// Tells `on_change` the addresses at start and whenever they are others. A name that cannot be looked up keeps the
// addresses it had: a failing resolver never shrinks the list. Everything on `executor`; owned by main.
class EndpointWatcher {
 public:
  using OnChange = std::function<void(std::vector<std::string> addresses)>;
  EndpointWatcher(std::vector<Endpoint> endpoints, int64_t interval_us, Executor executor, Clock& clock,
                  std::unique_ptr<HostLookup> lookup, OnChange on_change);
  ~EndpointWatcher();

  void Start();

 private:
  struct State;
  static void Ask(const std::shared_ptr<State>& state);
  static void Tell(State& state);

  std::shared_ptr<State> state_;
};

}  // namespace swiftlet
