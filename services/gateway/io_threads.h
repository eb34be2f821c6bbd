// The gateway's threads: N io_contexts, each run by one thread, so that what lives on one of them needs no lock.
// Owned by main (and by tests); outlives everything that holds one of its executors.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace swiftlet {

class Watchdog;

class IoThreads {
 public:
  // Starts `count` > 0 threads.
  explicit IoThreads(int count);
  // Stops and joins.
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  int size() const { return static_cast<int>(contexts_.size()); }
  boost::asio::io_context& context(int index) { return *contexts_[index]; }
  // Any thread. The contexts in turn.
  boost::asio::io_context& Next() { return *contexts_[next_++ % contexts_.size()]; }
  // As "`what` 0" and so on. Outlives the watchdog's looks.
  void LetWatch(Watchdog& watchdog, const std::string& what);
  // Any thread but ours; idempotent. Drops what is still queued.
  void Stop();

 private:
  std::vector<std::unique_ptr<boost::asio::io_context>> contexts_;
  std::vector<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> guards_;
  std::vector<std::thread> threads_;
  std::atomic<uint32_t> next_ = 0;
};

}  // namespace swiftlet
