// Notices that files were replaced or written, by looking at them on a timer: what a mounted Secret does, symbolic
// links and all, shows no other event reliably. Owned by main; everything on `executor`, where reading files may take
// its time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/gateway/clock.h"

namespace swiftlet {

class FileWatch {
 public:
  // `on_change` is called once the files differ from what they were when it was made or called last, and then did not
  // change from one look to the next: not while somebody writes. `clock` outlives it.
  FileWatch(std::vector<std::string> paths, int64_t interval_us, Executor executor, Clock& clock,
            std::function<void()> on_change);
  ~FileWatch();

  void Start();

 private:
  struct State;
  static void Look(const std::shared_ptr<State>& state);
  const std::shared_ptr<State> state_;
};

}  // namespace swiftlet
