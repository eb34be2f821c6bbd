#include "services/common/file_watch.h"

#include <sys/stat.h>

#include <utility>

namespace swiftlet {

FileWatch::FileWatch(std::vector<std::string> paths, std::function<void()> on_change)
    : paths_(std::move(paths)), on_change_(std::move(on_change)), told_(Marks()), latest_(told_) {}

void FileWatch::Look() {
  std::vector<Mark> now = Marks();
  if (now == latest_ && now != told_) {
    told_ = now;
    on_change_();
  }
  latest_ = std::move(now);
}

std::vector<FileWatch::Mark> FileWatch::Marks() const {
  std::vector<Mark> marks;
  for (const std::string& path : paths_) {
    struct stat found = {};
    if (::stat(path.c_str(), &found) != 0) found = {};
    marks.emplace_back(found.st_dev, found.st_ino, found.st_size,
                       int64_t{found.st_ctim.tv_sec} * 1'000'000'000 + found.st_ctim.tv_nsec);
  }
  return marks;
}

}  // namespace swiftlet
