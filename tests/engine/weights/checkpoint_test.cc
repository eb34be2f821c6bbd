#include "engine/weights/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "engine/weights/weight_loader.h"
#include "tests/engine/weights/safetensors_file.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

std::string Floats(std::initializer_list<float> values) {
  std::string bytes;
  for (const float value : values) bytes.append(reinterpret_cast<const char*>(&value), 4);
  return bytes;
}

std::string TwoByThree(const std::string& name) {
  return SafetensorsBytes("{\"" + name + R"(":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})",
                          Floats({1, 2, 3, 4, 5, 6}));
}

std::string Error(const absl::Status& status) {
  return std::string(status.message());
}

TEST(Checkpoint, SingleFileGivesItsTensors) {
  const TemporaryDirectory directory;
  directory.Write("model.safetensors", TwoByThree("a"));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto tensor = checkpoint->Require("a", std::array<int64_t, 2>{2, 3});
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  std::array<float, 2> values;
  ASSERT_TRUE(checkpoint->Read(**tensor, 8, std::as_writable_bytes(std::span(values))).ok());
  EXPECT_EQ(values, (std::array<float, 2>{3, 4}));
}

TEST(Checkpoint, MismatchNamesFileTensorExpectedAndFound) {
  const TemporaryDirectory directory;
  directory.Write("model.safetensors", TwoByThree("a"));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint.ok());
  const std::string shape = Error(checkpoint->Require("a", std::array<int64_t, 2>{3, 2}).status());
  for (const char* part : {"model.safetensors", "\"a\"", "[2, 3]", "[3, 2]"}) EXPECT_THAT(shape, HasSubstr(part));
  EXPECT_THAT(Error(checkpoint->Require("b", std::array<int64_t, 1>{3}).status()), HasSubstr("no tensor \"b\""));
}

TEST(Checkpoint, UnsupportedFormatIsNamed) {
  const TemporaryDirectory directory;
  directory.Write("model.safetensors",
                  SafetensorsBytes(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", "12345678"));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint.ok());
  const absl::Status status = checkpoint->Require("a", std::array<int64_t, 1>{1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Error(status), HasSubstr("I64"));
}

TEST(Checkpoint, EveryTruncationIsRefused) {
  const std::string whole = TwoByThree("a");
  const TemporaryDirectory directory;
  for (size_t size = 0; size < whole.size(); ++size) {
    directory.Write("model.safetensors", whole.substr(0, size));
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_FALSE(checkpoint.ok()) << size;
    EXPECT_THAT(Error(checkpoint.status()), HasSubstr("model.safetensors"));
  }
}

TEST(Checkpoint, ShardsAreJoined) {
  const TemporaryDirectory directory;
  directory.Write("one.safetensors", TwoByThree("a"));
  directory.Write("two.safetensors", TwoByThree("b"));
  directory.Write("model.safetensors.index.json", R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(checkpoint->PathOf(*checkpoint->Find("b")), HasSubstr("two.safetensors"));
}

TEST(Checkpoint, BrokenIndexIsRefused) {
  const TemporaryDirectory directory;
  directory.Write("one.safetensors", TwoByThree("a"));
  directory.Write("two.safetensors", TwoByThree("a"));
  const std::pair<const char*, const char*> cases[] = {
      {R"({"weight_map":{"a":"one.safetensors","x":"two.safetensors"}})", "in two files"},
      {R"({"weight_map":{"a":"one.safetensors","x":"one.safetensors"}})", "in no shard"},
      {R"({"weight_map":{"a":"three.safetensors"}})", "three.safetensors"},
      {R"({"weight_map":{"a":"../one.safetensors"}})", "same directory"},
      {R"({"weight_map":{"a":".."}})", "same directory"},
      {R"({"weight_map":{"a":7}})", "same directory"},
      {R"({"weight_map":[]})", "weight_map"},
      {R"([])", "weight_map"},
      {R"({)", "invalid JSON"},
  };
  for (const auto& [index, part] : cases) {
    directory.Write("model.safetensors.index.json", index);
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_FALSE(checkpoint.ok()) << index;
    EXPECT_THAT(Error(checkpoint.status()), HasSubstr(part)) << index;
  }
}

TEST(Checkpoint, DirectoryWithoutWeightsSaysWhatIsLookedFor) {
  const TemporaryDirectory directory;
  const auto checkpoint = Checkpoint::Open(directory.path());
  EXPECT_EQ(checkpoint.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Error(checkpoint.status()), HasSubstr("model.safetensors"));
}

TEST(WeightLoader, HashAndValuesDependOnContentNotOnThreads) {
  const TemporaryDirectory directory;
  directory.Write("model.safetensors", TwoByThree("a"));
  const KernelTable& kernels = **ChooseKernels(Backend::kReference, DType::kFloat32);
  std::vector<uint64_t> hashes;
  for (const int threads : {1, 2, 5}) {
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_TRUE(checkpoint.ok());
    LinearWeight weight{.out_features = 3, .in_features = 3, .data = *Buffer::Allocate(36), .bias = {}};
    WeightLoader loader(*checkpoint, kernels);
    ASSERT_TRUE(loader.AddMatrix("a", weight, 1, 2).ok());
    ThreadPool pool(threads);
    uint64_t reported = 0;
    const auto hash = loader.Load(pool, [&](uint64_t done, uint64_t) { reported = done; });
    ASSERT_TRUE(hash.ok()) << hash.status();
    EXPECT_EQ(reported, 24u);
    const float* values = weight.data.as<float>();
    EXPECT_EQ(std::vector<float>(values, values + 9), (std::vector<float>{0, 0, 0, 1, 2, 3, 4, 5, 6}));
    hashes.push_back(*hash);
  }
  EXPECT_EQ(hashes, std::vector<uint64_t>(3, hashes[0]));

  std::string changed = TwoByThree("a");
  changed.back() ^= 1;
  directory.Write("model.safetensors", changed);
  const auto checkpoint = Checkpoint::Open(directory.path());
  LinearWeight weight{.out_features = 2, .in_features = 3, .data = *Buffer::Allocate(24), .bias = {}};
  WeightLoader loader(*checkpoint, kernels);
  ASSERT_TRUE(loader.AddMatrix("a", weight, 0, 2).ok());
  ThreadPool pool(1);
  EXPECT_NE(*loader.Load(pool, {}), hashes[0]);
}

TEST(WeightLoader, FileCutShortAfterOpeningIsAnError) {
  const TemporaryDirectory directory;
  directory.Write("model.safetensors", TwoByThree("a"));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint.ok());
  const KernelTable& kernels = **ChooseKernels(Backend::kReference, DType::kFloat32);
  LinearWeight weight{.out_features = 2, .in_features = 3, .data = *Buffer::Allocate(24), .bias = {}};
  WeightLoader loader(*checkpoint, kernels);
  ASSERT_TRUE(loader.AddMatrix("a", weight, 0, 2).ok());
  ASSERT_EQ(truncate((directory.path() + "/model.safetensors").c_str(), 70), 0);
  ThreadPool pool(2);
  EXPECT_EQ(loader.Load(pool, {}).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace swiftlet
