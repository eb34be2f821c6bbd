// Sets the process's health from what can be asked: serving while a model is ready. Owned by main; looks every 20 ms,
// on one io thread.
#pragma once

#include <memory>

#include <boost/asio/io_context.hpp>

#include "services/common/health.h"
#include "services/gateway/generation/generation.h"

namespace swiftlet {

class Readiness {
 public:
  // Both outlive it. Starts at once.
  Readiness(const Generator& generator, Health& health, boost::asio::io_context& io);
  // Any thread but that of `io`, which still runs; neither is touched afterwards.
  ~Readiness();

 private:
  class Watch;
  const std::shared_ptr<Watch> watch_;
};

}  // namespace swiftlet
