#include "services/gateway/readiness.h"

#include <algorithm>
#include <chrono>
#include <future>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace swiftlet {

constexpr auto kInterval = std::chrono::milliseconds(20);

class Readiness::Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(const Generator& generator, Health& health, boost::asio::io_context& io)
      : generator_(generator), health_(health), timer_(io) {}

  void Look() {
    if (stopped_) return;
    const auto models = generator_.Models();
    if (std::any_of(models.begin(), models.end(), [](const auto& model) { return model.ready; })) {
      health_.Set(HealthState::kServing);
    } else {
      health_.Set(HealthState::kStarting, "no model is ready: no tokenizer and worker of one model answer");
    }
    timer_.expires_after(kInterval);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) self->Look();
    });
  }

  void Stop() {
    stopped_ = true;
    timer_.cancel();
  }

  boost::asio::steady_timer::executor_type executor() { return timer_.get_executor(); }

 private:
  const Generator& generator_;
  Health& health_;
  boost::asio::steady_timer timer_;
  bool stopped_ = false;
};

Readiness::Readiness(const Generator& generator, Health& health, boost::asio::io_context& io)
    : watch_(std::make_shared<Watch>(generator, health, io)) {
  boost::asio::post(watch_->executor(), [watch = watch_] { watch->Look(); });
}

Readiness::~Readiness() {
  std::promise<void> done;
  boost::asio::post(watch_->executor(), [&] {
    watch_->Stop();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace swiftlet
