#include "services/gateway/io_threads.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include <boost/asio/post.hpp>

#include "services/common/watchdog.h"

namespace swiftlet {
namespace {

using std::chrono::seconds;

TEST(IoThreads, WatchdogTellsOfTheThreadThatIsStuckAndOfNoOther) {
  IoThreads io(3);
  Watchdog watchdog;
  io.LetWatch(watchdog, "io thread");
  // Until every errand of the looks before has run, on all threads but one.
  const auto settle = [&](int without = -1) {
    for (int i = 0; i < io.size(); ++i) {
      if (i == without) continue;
      std::promise<void> ran;
      boost::asio::post(io.context(i), [&] { ran.set_value(); });
      ran.get_future().wait();
    }
  };
  Watchdog::Clock::time_point now = Watchdog::Clock::now();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(watchdog.Problem(now += seconds(60)), "");
    settle();
  }
  std::promise<void> go_on;
  boost::asio::post(io.context(1), [gate = go_on.get_future().share()] { gate.wait(); });
  EXPECT_EQ(watchdog.Problem(now += seconds(60)), "");  // its errand waits from here on
  settle(1);
  EXPECT_EQ(watchdog.Problem(now += seconds(9)), "");
  settle(1);
  EXPECT_EQ(watchdog.Problem(now += seconds(2)), "io thread 1 has not moved for 11 s");
  go_on.set_value();
  settle();
  EXPECT_EQ(watchdog.Problem(now += seconds(60)), "");
}

}  // namespace
}  // namespace swiftlet
