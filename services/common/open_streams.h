// The streams that callers of one service hold open. A service that closes tells each of them, and each that opens
// later: none outlives it unnoticed. Owned by the service; any thread.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace swiftlet {

// `Stream`: a gRPC reactor with Start and Close.
template <typename Stream>
class OpenStreams {
 public:
  // Starts the stream and gives it back for gRPC, which says when it is over: Forget. Not before it has it.
  Stream* Open(const std::shared_ptr<Stream>& stream) {
    stream->Start();
    bool closed;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      streams_.push_back(stream);
      closed = closed_;
    }
    if (closed) stream->Close();
    return stream.get();
  }
  void Forget(const Stream* stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(streams_, [stream](const auto& one) { return one.get() == stream; });
  }
  void Close() {
    std::vector<std::shared_ptr<Stream>> streams;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
      streams = streams_;
    }
    for (const auto& stream : streams) stream->Close();
  }

  std::vector<std::shared_ptr<Stream>> All() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return streams_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Stream>> streams_;  // guarded by mutex_
  bool closed_ = false;                           // guarded by mutex_
};

}  // namespace swiftlet
