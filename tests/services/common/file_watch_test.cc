#include "services/common/file_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace swiftlet {
namespace {

TEST(FileWatch, TellsOnceAFileHasSettled) {
  const std::string path = testing::TempDir() + "/watched";
  std::ofstream(path) << "one";
  int told = 0;
  FileWatch watch({path}, [&] { ++told; });
  const auto look = [&](int times) {
    for (int i = 0; i < times; ++i) watch.Look();
  };
  look(5);
  EXPECT_EQ(told, 0);
  std::ofstream(path) << "longer";
  look(1);
  EXPECT_EQ(told, 0);
  look(5);
  EXPECT_EQ(told, 1);
  for (int i = 0; i < 5; ++i) {  // somebody writes
    std::ofstream(path, std::ios::app) << "more";
    look(1);
  }
  EXPECT_EQ(told, 1);
  look(3);
  EXPECT_EQ(told, 2);
  std::ofstream(path + ".new") << "x";
  std::rename((path + ".new").c_str(), path.c_str());
  look(3);
  EXPECT_EQ(told, 3);
  std::remove(path.c_str());
  look(3);
  EXPECT_EQ(told, 4);
}

// Whoever loses the right to read a file hears of it now, and not when the program starts again.
TEST(FileWatch, TellsOfRightsThatChanged) {
  namespace fs = std::filesystem;
  const fs::path path = fs::path(testing::TempDir()) / "guarded";
  std::ofstream(path) << "kept";
  int told = 0;
  FileWatch watch({path}, [&] { ++told; });
  fs::permissions(path, fs::perms::none);
  watch.Look();
  watch.Look();
  EXPECT_EQ(told, 1);
  fs::permissions(path, fs::perms::owner_read);
  watch.Look();
  watch.Look();
  EXPECT_EQ(told, 2);
  fs::remove(path);
}

// As the kubelet does it: tls.crt -> ..data/tls.crt, ..data -> a folder of that moment.
TEST(FileWatch, FollowsTheFoldersOfAMountedSecret) {
  namespace fs = std::filesystem;
  const fs::path mount = fs::path(testing::TempDir()) / "secret";
  fs::remove_all(mount);
  for (const char* moment : {"..first", "..second"}) {
    fs::create_directories(mount / moment);
    std::ofstream(mount / moment / "tls.crt") << "same size";
  }
  fs::create_directory_symlink("..first", mount / "..data");
  fs::create_symlink("..data/tls.crt", mount / "tls.crt");
  int told = 0;
  FileWatch watch({mount / "tls.crt"}, [&] { ++told; });
  watch.Look();
  fs::create_directory_symlink("..second", mount / "..data_tmp");
  fs::rename(mount / "..data_tmp", mount / "..data");
  watch.Look();
  watch.Look();
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace swiftlet
