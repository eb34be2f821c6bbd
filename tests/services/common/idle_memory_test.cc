#include "services/common/idle_memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <fstream>
#include <memory>
#include <vector>

namespace swiftlet {
namespace {

int64_t ResidentPages() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident;
}

TEST(IdleMemory, WhatABurstLeftGoesBack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer has its own allocator";
#endif
  constexpr size_t kBlocks = 2000, kBlockBytes = 16 << 10;  // 32 MB in blocks that come from the heap
  std::vector<std::unique_ptr<char[]>> blocks;
  for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(std::make_unique<char[]>(kBlockBytes));  // written: zeros
  const auto last = std::make_unique<char[]>(kBlockBytes);  // keeps the heap from shrinking at its end
  const int64_t full = ResidentPages();
  blocks.clear();
  constexpr int64_t kThreeQuarters = kBlocks * kBlockBytes / 4096 * 3 / 4;
  ASSERT_GT(ResidentPages(), full - kThreeQuarters);
  IdleMemory memory;
  memory.Look();  // the first look sees all that the process ever computed
  memory.Look();
  EXPECT_LT(ResidentPages(), full - kThreeQuarters);
}

TEST(IdleMemory, SmallBurstsOfASmallProcessGoBackToo) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer has its own allocator";
#endif
  constexpr size_t kBlocks = 200, kBlockBytes = 16 << 10;  // 3.2 MB, where the process has some ten
  IdleMemory memory;
  memory.Look();
  memory.Look();
  const int64_t before = ResidentPages();
  std::vector<std::unique_ptr<char[]>> blocks;
  for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(std::make_unique<char[]>(kBlockBytes));
  const auto last = std::make_unique<char[]>(kBlockBytes);
  blocks.clear();
  memory.Look();
  EXPECT_LT(ResidentPages(), before + before / 10);
}

}  // namespace
}  // namespace swiftlet
