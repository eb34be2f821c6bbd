#include "services/gateway/transcode/path_template.h"

#include <gtest/gtest.h>

namespace swiftlet {
namespace {

TEST(PathTemplate, ParsesTheGrammar) {
  for (const char* text : {"/a", "/*", "/**", "/a/*/b", "/{x}", "/{x=*}", "/{x=**}", "/{x.y.z=a/*/**}", "/a:v",
                           "/{x}:v", "/v1/{name=shelves/*}/books/{book}:publish", "/a%20b", "/a-._~!$&'()+,;@"}) {
    EXPECT_TRUE(PathTemplate::Parse(text).ok()) << text;
  }
}

TEST(PathTemplate, RefusesWhatIsNone) {
  for (const char* text : {"",        "a",     "/",         "//",        "/a/",     "/a//b",    "/{}",
                           "/{x",     "/{x=}", "/{x=a{y}}", "/{x={y}}",  "/{x}{y}", "/{.x}",    "/{x.}",
                           "/{x..y}", "/{1x}", "/{x=*",     "/a:",       "/a:v:w",  "/a:v/b",   "/***",
                           "/*a",     "/a*",   "/**/a",     "/{x=**}/a", "/**/**",  "/{x}/{x}", "/a b",
                           "/a?b",    "/a#b",  "/:v",       "/a{x}",     "/{x=a:b}"}) {
    const auto parsed = PathTemplate::Parse(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(PathTemplate, EveryCutOfATemplateParsesOrIsRefused) {
  constexpr std::string_view kText = "/v1/{a.b=x/*}/{c}/{d=**}:verb";
  for (size_t begin = 0; begin < kText.size(); ++begin) {
    for (size_t size = 0; begin + size <= kText.size(); ++size) {
      const auto parsed = PathTemplate::Parse(kText.substr(begin, size));
      EXPECT_TRUE(!parsed.ok() || !parsed->segments().empty());
    }
  }
  const auto whole = PathTemplate::Parse(kText);
  ASSERT_TRUE(whole.ok());
  constexpr std::string_view kPath = "/v1/x/1/2/3/4:verb";
  for (size_t size = 0; size < kPath.size(); ++size) EXPECT_FALSE(whole->Match(kPath.substr(0, size)).has_value());
  const auto captures = whole->Match(kPath);
  ASSERT_TRUE(captures.has_value());
  ASSERT_EQ(captures->size(), 3u);
  EXPECT_EQ((*captures)[0].text, "x/1");
  EXPECT_EQ((*captures)[1].text, "2");
  EXPECT_EQ((*captures)[2].text, "3/4");
}

TEST(PathTemplate, KnowsWhichVariablesAreOneSegment) {
  const auto parsed = PathTemplate::Parse("/{a}/{b=*}/{c=x}/{d=x/*}/{e=**}");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  std::string kinds;
  for (const PathTemplate::Variable& variable : parsed->variables()) kinds += variable.one_segment ? '1' : 'n';
  EXPECT_EQ(kinds, "111nn");
  EXPECT_EQ(parsed->OpenApiPath(), "/{a}/{b}/{c}/{d}/{e}");
}

TEST(PathTemplate, OrdersByParticularity) {
  const char* const ordered[] = {"/a", "/a/b", "/a/*:v", "/a/*", "/a/**:v", "/a/**", "/*/b", "/**"};
  for (size_t i = 0; i + 1 < std::size(ordered); ++i) {
    for (size_t j = i + 1; j < std::size(ordered); ++j) {
      const auto first = PathTemplate::Parse(ordered[i]);
      const auto second = PathTemplate::Parse(ordered[j]);
      EXPECT_TRUE(first->GoesBefore(*second)) << ordered[i] << ' ' << ordered[j];
      EXPECT_FALSE(second->GoesBefore(*first)) << ordered[i] << ' ' << ordered[j];
    }
  }
}

}  // namespace
}  // namespace swiftlet
