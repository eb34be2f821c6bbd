#include "services/gateway/io_threads.h"

#include <absl/strings/str_cat.h>

#include <chrono>

#include <boost/asio/post.hpp>

#include "engine/base/check.h"
#include "services/common/watchdog.h"

namespace swiftlet {

namespace {

constexpr std::chrono::seconds kStuck{10};  // nothing that runs here takes a hundredth of it

}  // namespace

IoThreads::IoThreads(int count) {
  CHECK(count > 0) << "count " << count;
  for (int i = 0; i < count; ++i) {
    contexts_.push_back(std::make_unique<boost::asio::io_context>(/*concurrency_hint=*/1));
    guards_.push_back(boost::asio::make_work_guard(*contexts_.back()));
  }
  for (auto& context : contexts_) threads_.emplace_back([&context = *context] { context.run(); });
}

IoThreads::~IoThreads() {
  Stop();
}

void IoThreads::LetWatch(Watchdog& watchdog, const std::string& what) {
  // Each look that finds the former one's errand run leaves another.
  struct Errands {
    std::atomic<uint64_t> sent{0};
    std::atomic<uint64_t> run{0};
  };
  for (int i = 0; i < size(); ++i) {
    watchdog.Watch(absl::StrCat(what, " ", i), kStuck, [&context = context(i), errands = std::make_shared<Errands>()] {
      const Watchdog::Reading reading = {.has_work = errands->sent != errands->run, .progress = errands->run};
      if (!reading.has_work) {
        ++errands->sent;
        boost::asio::post(context, [errands] { ++errands->run; });
      }
      return reading;
    });
  }
}

void IoThreads::Stop() {
  for (auto& context : contexts_) context->stop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace swiftlet
