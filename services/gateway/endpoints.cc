#include "services/gateway/endpoints.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view entry) {
  const auto wrong = [&](std::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("'", ToAbsl(entry), "' is not host:port: ", ToAbsl(what)));
  };
  const size_t colon = entry.rfind(':');
  if (colon == std::string_view::npos) return wrong("the port is missing");
  std::string_view host = entry.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong("an IPv6 address stands in brackets");
  }
  if (host.empty()) return wrong("the host is missing");
  uint32_t port;
  if (!absl::SimpleAtoi(ToAbsl(entry.substr(colon + 1)), &port) || port < 1 || port > 65535) {
    return wrong("the port is not a number from 1 to 65535");
  }
  return Endpoint{std::string(host), static_cast<uint16_t>(port)};
}

bool IsAddress(const std::string& host) {
  boost::system::error_code error;
  boost::asio::ip::make_address(host, error);
  return !error;
}

class SystemLookup : public HostLookup {
 public:
  explicit SystemLookup(const Executor& executor) : resolver_(executor) {}

  void Lookup(const std::string& host, Done done) override {
    resolver_.async_resolve(
        host, "", [host, done = std::move(done)](const boost::system::error_code& error, const auto& results) {
          if (error) return done(absl::UnavailableError(absl::StrCat("looking up ", host, ": ", error.message())));
          std::vector<std::string> v4;
          std::vector<std::string> v6;
          for (const auto& result : results) {
            const boost::asio::ip::address address = result.endpoint().address();
            (address.is_v4() ? v4 : v6).push_back(address.to_string());
          }
          done(v4.empty() ? v6 : v4);
        });
  }

 private:
  boost::asio::ip::tcp::resolver resolver_;
};

}  // namespace

absl::StatusOr<std::vector<Endpoint>> ParseEndpoints(std::string_view text) {
  std::vector<Endpoint> endpoints;
  for (const absl::string_view entry : absl::StrSplit(ToAbsl(text), ',')) {
    ASSIGN_OR_RETURN(Endpoint endpoint, ParseEndpoint({entry.data(), entry.size()}));
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

std::string FormatAddress(std::string_view host, uint16_t port) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return absl::StrCat(is_v6 ? "[" : "", ToAbsl(host), is_v6 ? "]:" : ":", port);
}

std::unique_ptr<HostLookup> MakeSystemLookup(const Executor& executor) {
  return std::make_unique<SystemLookup>(executor);
}

struct EndpointWatcher::State {
  std::vector<Endpoint> endpoints;
  int64_t interval_us;
  Executor executor;
  Clock& clock;
  std::unique_ptr<HostLookup> lookup;
  OnChange on_change;
  std::map<std::string, std::vector<std::string>> known;  // host -> its addresses when last looked up
  std::vector<std::string> told;
  bool was_told = false;
  size_t pending = 0;  // look-ups of this round
  std::unique_ptr<Timer> timer;
};

EndpointWatcher::EndpointWatcher(std::vector<Endpoint> endpoints, int64_t interval_us, Executor executor, Clock& clock,
                                 std::unique_ptr<HostLookup> lookup, OnChange on_change)
    : state_(new State{std::move(endpoints),
                       interval_us,
                       std::move(executor),
                       clock,
                       std::move(lookup),
                       std::move(on_change),
                       {},
                       {},
                       false,
                       0,
                       nullptr}) {}

EndpointWatcher::~EndpointWatcher() = default;

void EndpointWatcher::Start() {
  boost::asio::post(state_->executor, [weak = std::weak_ptr<State>(state_)] {
    if (const auto state = weak.lock()) Ask(state);
  });
}

void EndpointWatcher::Ask(const std::shared_ptr<State>& state) {
  std::vector<std::string> names;
  for (const Endpoint& endpoint : state->endpoints) {
    if (IsAddress(endpoint.host)) {
      state->known[endpoint.host] = {endpoint.host};
    } else if (std::find(names.begin(), names.end(), endpoint.host) == names.end()) {
      names.push_back(endpoint.host);
    }
  }
  if (names.empty()) return Tell(*state);  // addresses alone do not change
  state->pending = names.size();
  for (const std::string& name : names) {
    state->lookup->Lookup(name, [weak = std::weak_ptr<State>(state), executor = state->executor,
                                 name](absl::StatusOr<std::vector<std::string>> addresses) {
      boost::asio::post(executor, [weak, name, addresses = std::move(addresses)] {
        const auto state = weak.lock();
        if (state == nullptr) return;
        if (addresses.ok() && !addresses->empty()) state->known[name] = *addresses;
        if (--state->pending > 0) return;
        Tell(*state);
        state->timer = state->clock.After(state->executor, state->interval_us, [weak] {
          if (const auto again = weak.lock()) Ask(again);
        });
      });
    });
  }
}

void EndpointWatcher::Tell(State& state) {
  std::vector<std::string> addresses;
  for (const Endpoint& endpoint : state.endpoints) {
    for (const std::string& host : state.known[endpoint.host]) addresses.push_back(FormatAddress(host, endpoint.port));
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  if (state.was_told && addresses == state.told) return;
  state.was_told = true;
  state.told = addresses;
  state.on_change(std::move(addresses));
}

}  // namespace swiftlet
