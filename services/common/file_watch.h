// Notices that files were replaced, written or made unreadable, by looking at them: what a mounted Secret does,
// symbolic links and all, shows no other event reliably. One thread; Server's, which looks twice a second while it
// serves.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

namespace swiftlet {

class FileWatch {
 public:
  // `on_change` is called once the files differ from what they were when it was made or called last, and then did not
  // change from one look to the next: not while somebody writes.
  FileWatch(std::vector<std::string> paths, std::function<void()> on_change);

  void Look();

 private:
  // Enough to tell one content of a file from the next: device, inode, size, time of change in nanoseconds (ctime,
  // which rights and owners move too). All zero: none.
  using Mark = std::tuple<dev_t, ino_t, off_t, int64_t>;
  std::vector<Mark> Marks() const;

  const std::vector<std::string> paths_;
  const std::function<void()> on_change_;
  std::vector<Mark> told_;    // what on_change_ has seen
  std::vector<Mark> latest_;  // at the last look
};

}  // namespace swiftlet
