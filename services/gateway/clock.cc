#include "services/gateway/clock.h"

#include <chrono>
#include <utility>

#include <boost/asio/steady_timer.hpp>

namespace swiftlet {
namespace {

class SteadyTimer : public Timer {
 public:
  SteadyTimer(const Executor& executor, int64_t delay_us, std::function<void()> callback)
      : timer_(executor, std::chrono::microseconds(delay_us)), alive_(std::make_shared<bool>(true)) {
    timer_.async_wait([alive = alive_, callback = std::move(callback)](const boost::system::error_code& error) {
      // An expired timer's handler may be queued already when the timer is destroyed: `alive` tells.
      if (!error && *alive) callback();
    });
  }
  ~SteadyTimer() override { *alive_ = false; }

 private:
  boost::asio::steady_timer timer_;
  std::shared_ptr<bool> alive_;
};

}  // namespace

int64_t SteadyClock::NowUs() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::unique_ptr<Timer> SteadyClock::After(const Executor& executor, int64_t delay_us, std::function<void()> callback) {
  return std::make_unique<SteadyTimer>(executor, delay_us, std::move(callback));
}

}  // namespace swiftlet
