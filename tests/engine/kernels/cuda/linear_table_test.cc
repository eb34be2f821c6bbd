// The tables of cuBLASLt's algorithms: text to entries and back. Needs no GPU.
#include "engine/kernels/cuda/linear_table.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <string>

namespace swiftlet::cuda {
namespace {

TEST(LinearTable, TakesTheNextLargerEntryOfTheShape) {
  const auto table = LinearTable::Parse(
      "# a comment\nstore 2048 1536 8 66 10 1 0 0 0 20 0 5\n"
      "store 2048 1536 32 67 11 2 1 1 3 21 1 6  # us\n\nadd 2048 1536 64 1 1 1 0 0 0 1 0 0");
  ASSERT_TRUE(table.ok()) << table.status();
  const CublasLtAlgorithm* entry = table->Find(CublasLtProblem{CublasLtEpilogue::kStore, 2048, 1536, 9});
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(*entry, (CublasLtAlgorithm{67, 11, 2, 1, 1, 3, 21, 1, 6}));
  EXPECT_EQ(table->Find(CublasLtProblem{CublasLtEpilogue::kStore, 2048, 1536, 33}), nullptr);
  EXPECT_EQ(table->Find(CublasLtProblem{CublasLtEpilogue::kStore, 2048, 1544, 1}), nullptr);
  EXPECT_EQ(LinearTable::Line({CublasLtEpilogue::kStore, 2048, 1536, 32}, *entry),
            "store 2048 1536 32 67 11 2 1 1 3 21 1 6");
}

TEST(LinearTable, NamesTheBadLine) {
  for (const char* line : {"store 1 2 3", "stare 2048 1536 8 66 10 1 0 0 0 20 0 5", "add 1 1 1 1 1 1 0 0 0 1 0 70000",
                           "add 1 1 1 1 1 1 0 0 0 1 0 -1", "add 1 1 1 1 1 1 0 0 0 1 0 0 0"}) {
    const auto table = LinearTable::Parse(absl::StrCat("\n", line));
    EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(table.status().message().find("line 2"), std::string::npos) << table.status();
  }
}

TEST(LinearTable, BuiltInTableParses) {
  EXPECT_TRUE(LinearTable::Parse(kLinearTableH200).ok());
  EXPECT_EQ(LinearTable::FileName("NVIDIA H200"), "nvidia_h200.txt");
}

}  // namespace
}  // namespace swiftlet::cuda
