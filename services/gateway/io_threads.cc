#include "services/gateway/io_threads.h"

#include "engine/base/check.h"

namespace swiftlet {

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

void IoThreads::Stop() {
  for (auto& context : contexts_) context->stop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace swiftlet
