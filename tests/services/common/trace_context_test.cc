#include "services/common/trace_context.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace swiftlet {
namespace {

constexpr char kTrace[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kSpan[] = "b7ad6b7169203331";

std::string Header(const std::string& version = "00", const std::string& flags = "01", const std::string& rest = "") {
  return absl::StrCat(version, "-", kTrace, "-", kSpan, "-", flags, rest);
}

TEST(TraceParent, ReadsVersionZero) {
  const auto parent = ParseTraceParent(Header());
  ASSERT_TRUE(parent.has_value());
  EXPECT_EQ(parent->trace_id, kTrace);
  EXPECT_EQ(parent->span_id, kSpan);
  EXPECT_TRUE(parent->sampled);
  EXPECT_EQ(TraceParentText(*parent), Header());
  EXPECT_FALSE(ParseTraceParent(Header("00", "00"))->sampled);
}

TEST(TraceParent, OfTheFlagsOnlySampledIsKept) {
  for (const char* flags : {"03", "ff", "09", "a1"})
    EXPECT_TRUE(ParseTraceParent(Header("00", flags))->sampled) << flags;
  for (const char* flags : {"02", "fe", "10", "ba"})
    EXPECT_FALSE(ParseTraceParent(Header("00", flags))->sampled) << flags;
  EXPECT_EQ(TraceParentText(*ParseTraceParent(Header("00", "ff"))), Header());
}

TEST(TraceParent, ALaterVersionIsReadAsZero) {
  EXPECT_EQ(TraceParentText(*ParseTraceParent(Header("cc", "01", "-what-comes"))), Header());
  EXPECT_EQ(TraceParentText(*ParseTraceParent(Header("01"))), Header());
  EXPECT_FALSE(ParseTraceParent(Header("cc", "01", ".what")).has_value());
  EXPECT_FALSE(ParseTraceParent(Header("ff")).has_value());
}

TEST(TraceParent, WhatBreaksARuleIsNone) {
  const std::string zero_trace(32, '0');
  const std::string zero_span(16, '0');
  const std::string wrong[] = {"",
                               "00",
                               Header().substr(0, 54),
                               Header() + "-",
                               Header() + "-extra",
                               Header() + " ",
                               " " + Header(),
                               Header("0"),
                               Header("0G"),
                               Header("00", "0x"),
                               Header("00", "0A"),
                               absl::StrCat("00-", zero_trace, "-", kSpan, "-01"),
                               absl::StrCat("00-", kTrace, "-", zero_span, "-01"),
                               absl::StrCat("00-", "0AF7651916CD43DD8448EB211C80319C", "-", kSpan, "-01"),
                               absl::StrCat("00-", kTrace, "-", "B7AD6B7169203331", "-01"),
                               absl::StrCat("00_", kTrace, "-", kSpan, "-01"),
                               absl::StrCat("00-", kTrace, "_", kSpan, "-01"),
                               absl::StrCat("00-", kTrace, "-", kSpan, "_01")};
  for (const std::string& header : wrong) EXPECT_FALSE(ParseTraceParent(header).has_value()) << header;
}

TEST(TraceParent, AnyOneWrongByteIsNoneOrAnother) {
  const std::string right = Header();
  for (size_t at = 0; at < right.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string header = right;
      header[at] = static_cast<char>(byte);
      const auto parent = ParseTraceParent(header);
      if (!parent.has_value()) continue;
      const std::string text = TraceParentText(*parent);
      EXPECT_EQ(text.substr(2, 51), header.substr(2, 51));
    }
  }
}

TEST(TraceState, MembersStayInOrder) {
  EXPECT_EQ(CleanTraceState("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  EXPECT_EQ(CleanTraceState(" a=1 ,\t b=2,,c= x"), "a=1,b=2,c= x");
  EXPECT_EQ(CleanTraceState("fw529a3039@dt=FfAb,0tenant@sys=1"), "fw529a3039@dt=FfAb,0tenant@sys=1");
  EXPECT_EQ(CleanTraceState(""), "");
}

TEST(TraceState, WhatBreaksARuleIsEmpty) {
  const std::string wrong[] = {"a",
                               "=1",
                               "a=",
                               "A=1",
                               "1a=1",
                               "a=1,a=2",
                               "a=1=2",
                               "a@=1",
                               "@a=1",
                               "a@b@c=1",
                               "a@0b=1",
                               "a=\x7f",
                               "a=\x01",
                               "a=\xc3\xa9",
                               absl::StrCat(std::string(257, 'a'), "=1"),
                               absl::StrCat("a=", std::string(257, 'x')),
                               absl::StrCat("t@", std::string(15, 's'), "=1")};
  for (const std::string& header : wrong) EXPECT_EQ(CleanTraceState(header), "") << header;
  std::string many;
  for (int i = 0; i < 32; ++i) absl::StrAppend(&many, i == 0 ? "" : ",", "k", i, "=v");
  EXPECT_EQ(CleanTraceState(many), many);
  EXPECT_EQ(CleanTraceState(many + ",k32=v"), "");
}

TEST(TraceState, IsCutByWholeMembersTheLongFirst) {
  const std::string long_member = absl::StrCat("long=", std::string(200, 'x'));
  std::string shorts;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&shorts, ",s", i, "=", std::string(96, 'y'));
  EXPECT_EQ(CleanTraceState(long_member + shorts), shorts.substr(1));
  std::string many;
  for (int i = 0; i < 6; ++i) absl::StrAppend(&many, i == 0 ? "" : ",", "s", i, "=", std::string(97, 'y'));
  EXPECT_EQ(CleanTraceState(many), many.substr(0, 5 * 100 + 4));
}

class ContinueTraceTest : public testing::Test {
 protected:
  std::mt19937_64 numbers_{7};
  const std::function<uint64_t()> random_ = [this] { return numbers_(); };
};

TEST_F(ContinueTraceTest, IsAChildOfTheCallers) {
  const SpanContext span = ContinueTrace(Header(), "a=1", 0, random_);
  EXPECT_EQ(span.trace_id, kTrace);
  EXPECT_EQ(span.parent_id, kSpan);
  EXPECT_NE(span.span_id, kSpan);
  EXPECT_EQ(span.state, "a=1");
  EXPECT_TRUE(span.sampled);
  EXPECT_EQ(span.TraceParentOf(span.span_id), absl::StrCat("00-", kTrace, "-", span.span_id, "-01"));
}

TEST_F(ContinueTraceTest, AWrongParentBeginsATraceWithoutState) {
  const SpanContext span = ContinueTrace(Header("ff"), "a=1", 0, random_);
  EXPECT_TRUE(ParseTraceParent(span.TraceParentOf(span.span_id)).has_value());
  EXPECT_NE(span.trace_id, kTrace);
  EXPECT_EQ(span.parent_id, "");
  EXPECT_EQ(span.state, "");
}

TEST_F(ContinueTraceTest, AWrongStateKeepsTheParent) {
  const SpanContext span = ContinueTrace(Header(), "a=1,a=2", 0, random_);
  EXPECT_EQ(span.parent_id, kSpan);
  EXPECT_EQ(span.state, "");
}

TEST_F(ContinueTraceTest, NewTracesAreSampledByTheRatioOthersByTheirCaller) {
  int sampled = 0;
  for (int i = 0; i < 4000; ++i) sampled += ContinueTrace("", "", 0.25, random_).sampled;
  EXPECT_NEAR(sampled, 1000, 150);
  EXPECT_FALSE(ContinueTrace("", "", 0, random_).sampled);
  EXPECT_TRUE(ContinueTrace("", "", 1, random_).sampled);
  EXPECT_FALSE(ContinueTrace(Header("00", "00"), "", 1, random_).sampled);
  EXPECT_TRUE(ContinueTrace(Header("00", "01"), "", 0, random_).sampled);
}

TEST(SpanIds, AreUnlikeEachOtherAndNeverZero) {
  SpanIds ids(0x61c8864680b583eb);  // which would be all zeros
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = ids.Next();
    EXPECT_EQ(id.size(), 16);
    EXPECT_NE(id, std::string(16, '0'));
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000);
}

}  // namespace
}  // namespace swiftlet
