#include "engine/weights/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace swiftlet {
namespace {

using testing::HasSubstr;

constexpr char kGood[] =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
    R"("b":{"dtype":"F32","shape":[],"data_offsets":[12,16]},"c":{"dtype":"I64","shape":[0],"data_offsets":[16,16]}})";

absl::StatusOr<std::vector<TensorInfo>> Parse(const std::string& header, uint64_t data_bytes) {
  return ParseSafetensorsHeader(header, 8 + header.size() + data_bytes);
}

std::string OneTensor(const std::string& entry) {
  return "{\"weight\":" + entry + "}";
}

void ExpectError(const std::string& header, uint64_t data_bytes, const std::string& part) {
  const auto tensors = Parse(header, data_bytes);
  ASSERT_FALSE(tensors.ok()) << header;
  EXPECT_THAT(std::string(tensors.status().message()), HasSubstr(part)) << header;
}

TEST(SafetensorsHeader, GivesTensorsInOrderOfOffset) {
  const auto tensors = Parse(kGood, 16);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 3u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*tensors)[0].dtype, DType::kBFloat16);
  EXPECT_EQ((*tensors)[1].offset, 8 + sizeof(kGood) - 1 + 12);
  EXPECT_EQ((*tensors)[2].dtype, std::nullopt);
}

TEST(SafetensorsHeader, LengthIsCheckedAgainstTheFile) {
  const auto length = [](uint64_t header_bytes) {
    return std::string(reinterpret_cast<const char*>(&header_bytes), 8);
  };
  EXPECT_EQ(*SafetensorsHeaderBytes(length(100), 108), 100u);
  EXPECT_FALSE(SafetensorsHeaderBytes(length(101), 108).ok());
  EXPECT_FALSE(SafetensorsHeaderBytes(length(~uint64_t{0}), 108).ok());
  EXPECT_FALSE(SafetensorsHeaderBytes(length(kMaxSafetensorsHeaderBytes + 1), ~uint64_t{0}).ok());
  for (size_t bytes = 0; bytes < 8; ++bytes) {
    EXPECT_FALSE(SafetensorsHeaderBytes(std::string(bytes, '\0'), bytes).ok()) << bytes;
  }
}

TEST(SafetensorsHeader, RefusesWhatDoesNotFitTheFile) {
  ExpectError(kGood, 15, "outside the 15 bytes");
  ExpectError(kGood, 17, "the tensors end at byte");
  ExpectError(OneTensor(R"({"dtype":"F32","shape":[4],"data_offsets":[0,12]})"), 12, "takes 16 bytes");
  ExpectError(OneTensor(R"({"dtype":"F32","shape":[3],"data_offsets":[4,16]})"), 16, "belong to no tensor");
  ExpectError(OneTensor(R"({"dtype":"F32","shape":[3],"data_offsets":[12,0]})"), 12, "outside");
  ExpectError(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],)"
              R"("data_offsets":[8,20]}})",
              20, "inside the tensor before it");
  ExpectError(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],)"
              R"("data_offsets":[16,28]}})",
              28, "belong to no tensor");
}

TEST(SafetensorsHeader, RefusesHostileShapes) {
  for (const char* shape : {"[-1]", "[1.5]", "[\"2\"]", "[null]", "[18446744073709551615]", "[1e3]"}) {
    ExpectError(OneTensor(std::string(R"({"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,12]})"), 12,
                "must be an integer");
  }
  ExpectError(OneTensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,12]})"), 12, "overflows");
  ExpectError(OneTensor(R"({"dtype":"F32","shape":[4611686018427387904,4,2],"data_offsets":[0,0]})"), 0, "overflows");
  ExpectError(OneTensor(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,3],"data_offsets":[0,12]})"), 12, "8 dimensions");
}

TEST(SafetensorsHeader, RefusesMalformedEntries) {
  for (const char* entry :
       {"1", "[]", "{}", R"({"dtype":"F32","shape":[3]})", R"({"shape":[3],"data_offsets":[0,12]})",
        R"({"dtype":"F32","shape":3,"data_offsets":[0,12]})", R"({"dtype":"F32","shape":[3],"data_offsets":[0]})",
        R"({"dtype":3,"shape":[3],"data_offsets":[0,12]})"}) {
    ExpectError(OneTensor(entry), 12, "\"weight\"");
  }
  ExpectError(OneTensor(R"({"dtype":"F33","shape":[3],"data_offsets":[0,12]})"), 12, "unknown dtype \"F33\"");
  ExpectError(R"({"a":1,"a":2})", 0, "twice");
  ExpectError(R"({"__metadata__":{"x":1}})", 0, "__metadata__");
  ExpectError("", 0, "'{'");
  ExpectError("[]", 0, "'{'");
  ExpectError(" {}", 0, "'{'");
}

TEST(SafetensorsHeader, EveryTruncationIsAnError) {
  const std::string good = kGood;
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseSafetensorsHeader(good.substr(0, size), 8 + good.size() + 16).ok()) << size;
  }
}

// Whatever bytes change, what is accepted tiles the file exactly.
TEST(SafetensorsHeader, RandomMutationsNeverGiveTensorsOutsideTheFile) {
  std::mt19937 random(7);
  const std::string alphabet = "0123456789[]{},:\"-.eE \\abF\x01\xff";
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string header = kGood;
    for (int change = 0; change <= round % 3; ++change) {
      header[random() % header.size()] = alphabet[random() % alphabet.size()];
    }
    const uint64_t file_bytes = 8 + header.size() + 16;
    const auto tensors = ParseSafetensorsHeader(header, file_bytes);
    if (!tensors.ok()) continue;
    ++accepted;
    uint64_t next = 8 + header.size();
    for (const TensorInfo& tensor : *tensors) {
      ASSERT_EQ(tensor.offset, next) << header;
      next += tensor.bytes;
    }
    ASSERT_EQ(next, file_bytes) << header;
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace swiftlet
