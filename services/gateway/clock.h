// Monotonic time and timers, so that everything in the gateway's core can run under a virtual clock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

namespace swiftlet {

// Single-threaded executors of the gateway: each request has a home; pools and links share one, the control executor.
using Executor = boost::asio::any_io_executor;

// A callback that has not run yet. Destroyed on the timer's executor: the callback then never runs.
class Timer {
 public:
  virtual ~Timer() = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since an arbitrary start. Any thread.
  virtual int64_t NowUs() const = 0;
  // Runs `callback` on `executor` once, `delay_us` >= 0 from now. Called on that executor.
  virtual std::unique_ptr<Timer> After(const Executor& executor, int64_t delay_us, std::function<void()> callback) = 0;
};

// CLOCK_MONOTONIC and Asio's timers.
class SteadyClock : public Clock {
 public:
  int64_t NowUs() const override;
  std::unique_ptr<Timer> After(const Executor& executor, int64_t delay_us, std::function<void()> callback) override;
};

}  // namespace swiftlet
