#include "tools/swiftlet/client/name_lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <mutex>
#include <thread>
#include <utility>

namespace swiftlet {

absl::StatusOr<Addresses> LookUpBySystem(const std::string& host) {
  const addrinfo hints = {.ai_flags = 0,
                          .ai_family = AF_UNSPEC,
                          .ai_socktype = SOCK_STREAM,
                          .ai_protocol = 0,
                          .ai_addrlen = 0,
                          .ai_addr = nullptr,
                          .ai_canonname = nullptr,
                          .ai_next = nullptr};
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::UnavailableError(gai_strerror(error));
  }
  Addresses addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text);
    }
  }
  freeaddrinfo(found);
  return addresses;
}

struct PendingLookup::Waiter {
  std::mutex mutex;
  Done done;  // guarded by mutex; empty: nobody waits
};

PendingLookup::PendingLookup(NameLookup lookup, std::string host, Done done) : waiter_(std::make_shared<Waiter>()) {
  waiter_->done = std::move(done);
  std::thread([waiter = waiter_, lookup = std::move(lookup), host = std::move(host)] {
    absl::StatusOr<Addresses> found = lookup(host);
    std::lock_guard<std::mutex> lock(waiter->mutex);
    if (waiter->done) waiter->done(std::move(found));
  }).detach();
}

PendingLookup::~PendingLookup() {
  std::lock_guard<std::mutex> lock(waiter_->mutex);
  waiter_->done = nullptr;
}

}  // namespace swiftlet
