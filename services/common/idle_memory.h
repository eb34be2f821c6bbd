// Gives back to the system what a burst left behind in the allocator's free lists. Owned by Server, whose main thread
// calls Look now and then while it waits for the end.
#pragma once

#include <chrono>
#include <cstdint>

namespace swiftlet {

// For a process whose large blocks live as long as a request: each comes from the system and goes back to it when freed.
// By default glibc raises that limit to the largest block ever freed, and the next of its size stay in the heap for good.
// Before any other thread exists.
void KeepLargeBlocksApart();

class IdleMemory {
 public:
  static constexpr std::chrono::milliseconds kInterval{2000};  // between two looks

  // Returns free memory when the process has hardly computed since the last look: the allocator is locked meanwhile.
  void Look();

 private:
  int64_t cpu_ns_ = 0;      // used by the process up to the last look
  int64_t kept_bytes_ = 0;  // resident after the last return
};

}  // namespace swiftlet
