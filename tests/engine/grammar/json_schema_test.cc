#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "engine/grammar/compile_grammar.h"
#include "tests/engine/grammar/grammar_driver.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

class JsonSchema : public testing::Test {
 protected:
  void Expect(const std::string& schema, const std::vector<std::string>& accepted,
              const std::vector<std::string>& rejected) {
    SCOPED_TRACE(schema);
    const auto grammar = tests::Compile({GrammarSpec::Kind::kJsonSchema, schema, ""}, vocabulary_);
    ASSERT_NE(grammar, nullptr);
    for (const std::string& document : accepted) {
      EXPECT_TRUE(tests::AcceptsBytes(grammar, document)) << document;
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(tests::AcceptsCut(grammar, document, random_)) << document;
    }
    for (const std::string& document : rejected) {
      EXPECT_FALSE(tests::AcceptsBytes(grammar, document)) << document;
      EXPECT_FALSE(tests::AcceptsCut(grammar, document, random_)) << document;
    }
  }
  static std::string ErrorOf(const std::string& schema) {
    const auto grammar = CompileGrammar({GrammarSpec::Kind::kJsonSchema, schema, ""});
    EXPECT_EQ(grammar.status().code(), absl::StatusCode::kInvalidArgument) << schema;
    return std::string(grammar.status().message());
  }

  const std::shared_ptr<const GrammarVocabulary> vocabulary_ = tests::SmallVocabulary();
  std::mt19937 random_{1};
};

TEST_F(JsonSchema, TypesAreTheirValues) {
  Expect(R"({"type":"null"})", {"null"}, {"", "nul", "0", "nulll", " null"});
  Expect(R"({"type":"boolean"})", {"true", "false"}, {"True", "1", "tru"});
  Expect(R"({"type":"integer"})", {"0", "-1", "120", "999999999999999999"},
         {"-0", "01", "1.0", "1e2", "+1", "-", "1000000000000000000"});
  Expect(R"({"type":"number"})", {"0", "-0.5", "1e10", "12.250E-3", "1.5e+7"},
         {"1.", ".5", "1e", "00", "1e999", "NaN", "0x1"});
  Expect(R"({"type":["integer","null"]})", {"7", "null"}, {"7.5", "true", "\"7\""});
  Expect("{}", {"{\"a\": [1, {}, \"x\"]}", "1", "null", "[]"}, {"", "{", "[1 ,2]", "[1,]", "{\"a\"}"});
  Expect("true", {"[true]"}, {"[True]"});
}

TEST_F(JsonSchema, StringsAreOfRfc8259) {
  Expect(R"({"type":"string"})",
         {"\"\"", "\"abc\"", "\"\xC3\xA9\xF0\x9F\x98\x80\"", R"("\"\\\/\b\f\n\r\t")", R"("\u00e9\uD83D\uDE00")"},
         {"\"", "abc", "\"\n\"", "\"\x01\"", R"("\x41")", R"("\u12g4")", R"("\ud83d")", R"("\ud83dA")", R"("\ude00")",
          "\"\xC3\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF5\x80\x80\x80\"", "\"\xFF\""});
}

TEST_F(JsonSchema, LengthsCountCodePoints) {
  Expect(R"({"type":"string","minLength":2,"maxLength":3})",
         {"\"ab\"", "\"abc\"", "\"\xC3\xA9\xF0\x9F\x98\x80\"", R"("\uD83D\uDE00a")", R"("\n\n\n")"},
         {"\"a\"", "\"abcd\"", "\"\"", R"("\uD83D\uDE00")"});
  Expect(R"({"type":"string","minLength":1})", {"\"a\"", "\"aaaaaaaaaaaaaaaaaaaaaaaa\""}, {"\"\""});
  Expect(R"({"type":"string","maxLength":0})", {"\"\""}, {"\"a\""});
}

TEST_F(JsonSchema, WhiteSpaceIsBounded) {
  Expect(
      R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}}})",
      {"{}", "{\n}", "{ }", "{\"a\":[]}", "{\"a\": [1, 2]}", "{\n  \"a\": [\n    1,\n    2\n  ]\n}", "{\n\t\"a\":[1]}"},
      {" {}", "{} ", "{  }", "{\"a\":  []}", "{\"a\" :[]}", "{\"a\":[1 ,2]}", "{\n\n}",
       "{\n" + std::string(41, ' ') + "}"});
}

TEST_F(JsonSchema, PropertiesComeInTheirOrder) {
  const std::string properties = R"("properties":{"a":{"type":"integer"},"b":{"type":"null"},"c":{"type":"integer"}})";
  Expect("{\"type\":\"object\"," + properties + ",\"required\":[\"b\"]}",
         {R"({"b":null})", R"({"a":1,"b":null})", R"({"a":1,"b":null,"c":2})", R"({"b":null,"c":2})"},
         {R"({})", R"({"a":1})", R"({"b":null,"a":1})", R"({"b":null,"b":null})", R"({"b":null,"d":1})",
          R"({,"b":null})"});
  Expect("{" + properties + "}", {"{}", R"({"a":1,"c":2})"}, {R"({"c":2,"a":1})"});
}

TEST_F(JsonSchema, AdditionalPropertiesHaveOtherNames) {
  Expect(R"({"type":"object","properties":{"ab":{"type":"integer"}},"additionalProperties":{"type":"null"}})",
         {"{}", R"({"ab":1})", R"({"ab":1,"x":null})", R"({"a":null,"abc":null,"":null})", "{\"a\xC3\xA9\":null}",
          R"({"a\n":null})"},
         {R"({"ab":null})", R"({"x":1})", R"({"x":null,"ab":1})", R"({"\u0061b":null})", R"({"x":null,"ab":null})"});
  Expect(R"({"type":"object","additionalProperties":{"type":"integer"}})", {"{}", R"({"a":1,"b":2})"},
         {R"({"a":null})"});
  Expect(R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"});
  Expect(R"({"type":"object","properties":{"a":true},"additionalProperties":true})",
         {"{}", R"({"a":[1]})", R"({"b":1,"c":{}})"}, {R"({"b":1,"a":1})"});
  Expect(R"({"type":"object"})", {"{}", R"({"b":1,"c":{}})"}, {"[]"});
}

TEST_F(JsonSchema, RequiredWithoutDescriptionIsAdditional) {
  Expect(R"({"type":"object","required":["x"]})", {R"({"x":1})", R"({"x":{},"y":2})"}, {"{}", R"({"y":2})"});
  Expect(R"({"type":"object","required":["x"],"additionalProperties":{"type":"null"}})", {R"({"x":null})"},
         {R"({"x":1})"});
}

TEST_F(JsonSchema, ArraysHaveTheirCounts) {
  Expect(R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})", {"[1,2]", "[1, 2, 3]"},
         {"[]", "[1]", "[1,2,3,4]", "[1,2,]", "[,1,2]"});
  Expect(R"({"type":"array","items":{"type":"integer"},"minItems":1})", {"[1]", "[1,2,3,4,5,6,7]"}, {"[]"});
  Expect(R"({"type":"array","maxItems":0})", {"[]", "[ ]"}, {"[1]"});
  Expect(R"({"type":"array"})", {"[]", "[1,\"a\",[]]"}, {"{}"});
  Expect(R"({"items":false})", {"[]"}, {"[1]"});
}

TEST_F(JsonSchema, PrefixItemsComeFirst) {
  const std::string prefix = R"("prefixItems":[{"type":"integer"},{"type":"null"}])";
  Expect("{" + prefix + "}", {"[]", "[1]", "[1,null]"}, {"[null]", "[1,null,2]"});
  Expect("{" + prefix + ",\"minItems\":2}", {"[1,null]"}, {"[]", "[1]", "[1,null,2]"});
  Expect("{" + prefix + ",\"minItems\":3}", {"[1,null,2]", "[1,null,{},[]]"}, {"[1,null]"});
  Expect("{" + prefix + ",\"maxItems\":1}", {"[]", "[1]"}, {"[1,null]"});
  Expect("{" + prefix + ",\"items\":{\"type\":\"boolean\"},\"maxItems\":4}", {"[]", "[1,null,true,false]"},
         {"[1,null,3]", "[1,null,true,true,true]"});
}

TEST_F(JsonSchema, EnumAndConstAreTheirTexts) {
  Expect(R"({"enum":["a","ab","b\"\n",1,1.5,null,[1,{"x":2}]]})",
         {"\"a\"", "\"ab\"", R"("b\"\n")", "1", "1.5", "null", R"([1,{"x":2}])"},
         {"\"b\"", "2", "\"\"", "15", "\"abb\""});
  Expect(R"({"const":"x"})", {"\"x\""}, {"\"y\""});
  Expect(R"({"type":"string","enum":["a",1,null]})", {"\"a\""}, {"1", "null"});
  EXPECT_THAT(ErrorOf(R"({"enum":[]})"), HasSubstr("#/enum"));
  EXPECT_THAT(ErrorOf(R"({"type":"integer","const":"x"})"), HasSubstr("no document"));
  EXPECT_THAT(ErrorOf(R"({"enum":[1],"minimum":0})"), HasSubstr("#/minimum"));
}

TEST_F(JsonSchema, AlternativesAreAnyOfThem) {
  Expect(R"({"anyOf":[{"type":"integer"},{"type":"object","properties":{"a":{"type":"null"}},"required":["a"]}]})",
         {"1", R"({"a":null})"}, {"{}", "null"});
  Expect(R"({"oneOf":[{"type":"string"},{"type":"integer"}]})", {"1", "\"1\""}, {"1.5"});
  Expect(R"({"oneOf":[{"$ref":"#/$defs/cat"},{"$ref":"#/$defs/dog"}],"discriminator":{"propertyName":"kind"},
            "$defs":{"cat":{"type":"object","properties":{"kind":{"const":"cat"},"n":{"type":"integer"}},"required":["kind"]},
                     "dog":{"type":"object","properties":{"kind":{"const":"dog"}},"required":["kind"]}}})",
         {R"({"kind":"cat","n":1})", R"({"kind":"dog"})"}, {R"({"kind":"dog","n":1})", R"({"kind":"cow"})"});
  EXPECT_THAT(ErrorOf(R"({"oneOf":[{"type":"number"},{"type":"integer"}]})"), HasSubstr("#/oneOf: oneOf"));
  EXPECT_THAT(ErrorOf(R"({"oneOf":[{"const":1},{"const":1.0}]})"), HasSubstr("#/oneOf"));
  EXPECT_THAT(ErrorOf(R"({"anyOf":[]})"), HasSubstr("#/anyOf"));
  EXPECT_THAT(ErrorOf(R"({"anyOf":[true],"type":"integer"})"), HasSubstr("#/type"));
}

TEST_F(JsonSchema, AllOfJoinsObjects) {
  Expect(R"({"allOf":[{"$ref":"#/$defs/x"}],"description":"d","$defs":{"x":{"type":"integer"}}})", {"1"}, {"null"});
  Expect(R"({"allOf":[{"$ref":"#/$defs/a"},{"properties":{"b":{"type":"null"}},"required":["b"]}],
            "$defs":{"a":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}})",
         {R"({"a":1,"b":null})"}, {R"({"a":1})", R"({"b":null})", "{}"});
  EXPECT_THAT(ErrorOf(R"({"allOf":[{"type":"integer"},{"minimum":3}]})"), HasSubstr("#/allOf/0"));
  EXPECT_THAT(ErrorOf(R"({"allOf":[{"properties":{"a":true}},{"properties":{"a":true}}]})"), HasSubstr("properties/a"));
  EXPECT_THAT(
      ErrorOf(R"({"allOf":[{"properties":{"a":true},"additionalProperties":false},{"properties":{"b":true}}]})"),
      HasSubstr("#/allOf/0/additionalProperties"));
}

TEST_F(JsonSchema, ReferencesMayBeRecursive) {
  Expect(R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{
            "value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["value"]}}})",
         {R"({"value":1})", R"({"value":1,"children":[{"value":2,"children":[]},{"value":3}]})"},
         {R"({"value":1,"children":[{}]})"});
  Expect(R"({"type":"object","properties":{"next":{"$ref":"#"}}})", {"{}", R"({"next":{"next":{}}})"},
         {R"({"next":1})"});
  Expect(R"({"$ref":"#/$defs/a~1b~0c","$defs":{"a/b~c":{"type":"null"}}})", {"null"}, {"1"});
  EXPECT_THAT(ErrorOf(R"({"$ref":"#/$defs/x"})"), HasSubstr("#/$ref: there is no #/$defs/x"));
  EXPECT_THAT(ErrorOf(R"({"$ref":"http://example.com/s"})"), HasSubstr("#/$ref"));
  EXPECT_THAT(ErrorOf(R"({"$ref":"#"})"), HasSubstr("begin with itself"));
  EXPECT_THAT(ErrorOf(R"({"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/b"}]},
                                                      "b":{"$ref":"#/$defs/a"}}})"),
              HasSubstr("begin with itself"));
  EXPECT_THAT(ErrorOf(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})"),
              HasSubstr("no document"));
}

TEST_F(JsonSchema, PatternsAreSearchedFor) {
  Expect(R"({"type":"string","pattern":"^[a-c]{2,3}$"})", {"\"ab\"", "\"abc\""}, {"\"a\"", "\"abcd\"", "\"ad\""});
  Expect(R"({"type":"string","pattern":"b+"})", {"\"b\"", "\"abba\"", "\"\\n\\u0001b\""}, {"\"\"", "\"a\""});
  Expect(R"({"type":"string","pattern":"^(foo|ba(r|z))?$"})", {"\"\"", "\"foo\"", "\"baz\""}, {"\"ba\"", "\"foobar\""});
  Expect(R"({"type":"string","pattern":"^a|b$"})", {"\"axx\"", "\"xxb\""}, {"\"xax\"", "\"bx\""});
  Expect(R"({"type":"string","pattern":"^\\d{3}-\\w\\s[^a-z\\]]\\.\\u00e9$"})", {"\"123-x Q.\xC3\xA9\""},
         {"\"123-x q.\xC3\xA9\"", "\"12-x Q.\xC3\xA9\"", "\"123-x Q.e\""});
  Expect(R"({"type":"string","pattern":"^[\"\\\\\\n]+$"})", {R"("\"\\\n")"}, {R"("\u0022")", "\"a\"", "\"\"\""});
  Expect(R"({"type":"string","pattern":"^.$"})", {"\"\xF0\x9F\x98\x80\"", "\"a\"", "\"\\t\""}, {"\"\\n\"", "\"ab\""});
  Expect(R"({"type":"string","pattern":"^(a|bb)*$","minLength":3,"maxLength":4})", {"\"aaa\"", "\"abb\"", "\"bbbb\""},
         {"\"aa\"", "\"bbb\"", "\"aaaaa\""});
  Expect(R"({"type":"string","pattern":"^a*$","minLength":3})", {"\"aaa\"", "\"aaaaaaaa\""}, {"\"aa\""});
  for (const char* pattern :
       {"(?=a)", "a(?!b)", "(a)\\\\1", "\\\\bx", "(?<n>a)", "\\\\p{L}",     "(^a)",  "a$b",  "(a+)+$",    "(a",
        "a)",    "[a",     "a{2,1}",   "*a",     "a**",     "a{1,1000000}", "[z-a]", "\\\\", "(a{2}){3}", "a{"}) {
    EXPECT_THAT(ErrorOf(std::string(R"({"type":"string","pattern":")") + pattern + "\"}"),
                HasSubstr("#/pattern: at byte"));
  }
}

TEST_F(JsonSchema, FormatsAreHeldToWhereKnown) {
  Expect(R"({"type":"string","format":"date"})", {"\"2024-02-28\"", "\"2024-12-31\""},
         {"\"2024-13-01\"", "\"2024-02-30\"", "\"24-01-01\""});
  Expect(R"({"type":"string","format":"date-time"})", {"\"2024-02-28T23:59:59Z\"", "\"2024-01-01T00:00:00.5+01:00\""},
         {"\"2024-02-28\"", "\"2024-02-28 23:59:59Z\"", "\"2024-02-28T24:00:00Z\""});
  Expect(R"({"type":"string","format":"time"})", {"\"23:59:59Z\""}, {"\"23:59\""});
  Expect(R"({"type":"string","format":"uuid"})", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567\""});
  Expect(R"({"type":"string","format":"ipv4"})", {"\"192.168.0.255\""}, {"\"256.0.0.1\"", "\"1.2.3\""});
  Expect(R"({"type":"string","format":"no such format"})", {"\"anything\""}, {"1"});
}

TEST_F(JsonSchema, IntegersKeepTheirRange) {
  for (const auto& [low, high] : std::vector<std::pair<int, int>>{
           {0, 0}, {3, 7}, {0, 150}, {-12, 34}, {-105, -98}, {99, 1001}, {-1, 0}, {17, 17}, {190, 209}}) {
    const auto grammar = tests::Compile(
        {GrammarSpec::Kind::kJsonSchema,
         "{\"type\":\"integer\",\"minimum\":" + std::to_string(low) + ",\"maximum\":" + std::to_string(high) + "}", ""},
        vocabulary_);
    for (int value = -1200; value <= 1200; ++value) {
      EXPECT_EQ(tests::AcceptsBytes(grammar, std::to_string(value)), low <= value && value <= high) << value;
    }
    EXPECT_FALSE(tests::AcceptsBytes(grammar, "-0"));
  }
  Expect(R"({"type":"integer","exclusiveMinimum":5,"maximum":7.5})", {"6", "7"}, {"5", "8"});
  Expect(R"({"type":"integer","minimum":1})", {"1", "999999999999999999"}, {"0", "-1"});
  EXPECT_THAT(ErrorOf(R"({"type":"integer","minimum":3,"maximum":2})"), HasSubstr("no document"));
  EXPECT_THAT(ErrorOf(R"({"type":"integer","minimum":1e300})"), HasSubstr("#/minimum"));
  EXPECT_THAT(ErrorOf(R"({"type":"integer","multipleOf":3})"), HasSubstr("#/multipleOf"));
}

TEST_F(JsonSchema, NumbersKeepTheirRange) {
  Expect(R"({"type":"number","minimum":0,"maximum":1})", {"0", "1", "0.5", "1.00", "0.000"},
         {"1.01", "-0.5", "2", "-0", "1e0"});
  Expect(R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":10})", {"0.01", "9.99", "5"},
         {"0", "0.00", "10", "10.0"});
  Expect(R"({"type":"number","minimum":-2,"maximum":12})", {"-2", "-2.0", "-1.9", "-0.1", "0", "11.9", "12"},
         {"-2.1", "12.1", "13", "-3"});
  Expect(R"({"type":"number","maximum":-3})", {"-3", "-3.5", "-100.25"}, {"-2.9", "0", "3"});
  EXPECT_THAT(ErrorOf(R"({"type":"number","minimum":0.5})"), HasSubstr("#/minimum"));
}

TEST_F(JsonSchema, WhatIsNotUnderstoodIsNamedWithItsPath) {
  EXPECT_THAT(ErrorOf(R"({"type":"object","properties":{"a/b":{"type":"object","patternProperties":{}}}})"),
              HasSubstr("#/properties/a~1b/patternProperties: patternProperties is not supported"));
  for (const char* keyword : {"not", "if", "dependentRequired", "minProperties", "propertyNames", "contains", "$id",
                              "unevaluatedProperties", "multipleOf", "nonsense", "$dynamicRef"}) {
    EXPECT_THAT(ErrorOf(std::string(R"({"items":{")") + keyword + "\":1}}"),
                HasSubstr(std::string("#/items/") + keyword));
  }
  EXPECT_THAT(ErrorOf(R"({"type":123})"), HasSubstr("#/type"));
  EXPECT_THAT(ErrorOf(R"({"type":"text"})"), HasSubstr("#/type"));
  EXPECT_THAT(ErrorOf(R"({"type":[]})"), HasSubstr("#/type"));
  EXPECT_THAT(ErrorOf(R"({"uniqueItems":true,"type":"array"})"), HasSubstr("#/uniqueItems"));
  EXPECT_THAT(ErrorOf(R"({"items":[{}]})"), HasSubstr("#/items"));
  EXPECT_THAT(ErrorOf(R"({"minLength":-1})"), HasSubstr("#/minLength"));
  EXPECT_THAT(ErrorOf(R"({"required":["a"],"additionalProperties":false})"), HasSubstr("#/required"));
  EXPECT_THAT(ErrorOf(R"({"properties":{"a":1}})"), HasSubstr("#/properties/a"));
  EXPECT_THAT(ErrorOf("{"), HasSubstr("#"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("#"));
  EXPECT_THAT(ErrorOf("false"), HasSubstr("no document"));
}

TEST(JsonObject, IsAnyObject) {
  const auto grammar = tests::Compile({}, tests::SmallVocabulary());
  EXPECT_TRUE(tests::AcceptsBytes(grammar, "{}"));
  EXPECT_TRUE(tests::AcceptsBytes(grammar, "{\"a\": {\"b\": [1.5, null, \"x\"]}, \"\": true}"));
  EXPECT_FALSE(tests::AcceptsBytes(grammar, "[]"));
  EXPECT_FALSE(tests::AcceptsBytes(grammar, "{\"a\": tru}"));
}

}  // namespace
}  // namespace swiftlet
