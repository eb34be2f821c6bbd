// Time that moves only when nothing is left to do at the present: a whole gateway runs deterministically on one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "services/gateway/clock.h"

namespace swiftlet {

class VirtualClock : public Clock {
 public:
  explicit VirtualClock(boost::asio::io_context& io) : io_(io) {}

  int64_t NowUs() const override { return now_us_; }

  std::unique_ptr<Timer> After(const Executor& executor, int64_t delay_us, std::function<void()> callback) override {
    auto alive = std::make_shared<bool>(true);
    due_.emplace(std::pair(now_us_ + delay_us, sequence_++), Due{executor, alive, std::move(callback)});
    return std::make_unique<VirtualTimer>(std::move(alive));
  }

  // Like After, for what needs no cancelling.
  void At(int64_t delay_us, std::function<void()> callback) {
    due_.emplace(std::pair(now_us_ + delay_us, sequence_++),
                 Due{io_.get_executor(), std::make_shared<bool>(true), std::move(callback)});
  }

  // Runs what is ready, then moves on to the next timer, until `done` or `limit_us` later. Whether `done` came.
  bool RunUntil(const std::function<bool()>& done, int64_t limit_us) {
    const int64_t end_us = now_us_ + limit_us;
    while (true) {
      io_.restart();
      io_.poll();
      if (done()) return true;
      if (due_.empty() || due_.begin()->first.first > end_us) {
        now_us_ = end_us;
        return false;
      }
      auto next = due_.extract(due_.begin());
      now_us_ = next.key().first;
      if (!*next.mapped().alive) continue;
      boost::asio::post(next.mapped().executor,
                        [alive = next.mapped().alive, callback = std::move(next.mapped().callback)] {
                          if (*alive) callback();
                        });
    }
  }

 private:
  class VirtualTimer : public Timer {
   public:
    explicit VirtualTimer(std::shared_ptr<bool> alive) : alive_(std::move(alive)) {}
    ~VirtualTimer() override { *alive_ = false; }

   private:
    std::shared_ptr<bool> alive_;
  };
  struct Due {
    Executor executor;
    std::shared_ptr<bool> alive;
    std::function<void()> callback;
  };

  boost::asio::io_context& io_;
  int64_t now_us_ = 1'000'000;
  uint64_t sequence_ = 0;
  std::map<std::pair<int64_t, uint64_t>, Due> due_;  // by time, then in the order asked for
};

}  // namespace swiftlet
