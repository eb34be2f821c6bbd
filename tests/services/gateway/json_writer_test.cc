#include "services/gateway/json_writer.h"

#include <gtest/gtest.h>

#include <random>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

namespace swiftlet {
namespace {

TEST(JsonWriter, EveryByteSurvivesARoundTrip) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "é你😀\u2028";
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (size_t i = random() % 40; i > 0; --i) text += static_cast<char>(random() % 128);
    text += round % 2 == 0 ? all : "";
    std::string out;
    AppendJsonString(out, text);
    EXPECT_EQ(boost::json::value_to<std::string>(boost::json::parse(out)), text);
    for (const char c : out) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  }
}

TEST(JsonWriter, WritesWholeRangeOfIntegers) {
  std::string out;
  AppendJsonInt(out, INT64_MIN);
  out += ' ';
  AppendJsonInt(out, INT64_MAX);
  EXPECT_EQ(out, "-9223372036854775808 9223372036854775807");
}

}  // namespace
}  // namespace swiftlet
