// Texts made to cost much: each must be compiled or refused quickly, and what is compiled must run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "engine/grammar/compile_grammar.h"
#include "tests/engine/grammar/grammar_driver.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;

// What the sanitizers make of the 100 ms that a request may wait for its refusal, of this process' CPU.
constexpr double kBoundSeconds = 3;

double CpuSeconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

absl::Status Compiled(const std::string& schema, GrammarSpec::Kind kind = GrammarSpec::Kind::kJsonSchema) {
  const double begin = CpuSeconds();
  const absl::Status status = CompileGrammar({kind, schema, ""}).status();
  EXPECT_LT(CpuSeconds() - begin, kBoundSeconds) << schema.substr(0, 200);
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument) << status;
  return status;
}

std::string Repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(HostileSchema, TooMuchTextIsRefused) {
  EXPECT_THAT(Compiled("{\"enum\":[\"" + std::string(5 << 20, 'a') + "\"]}").ToString(), HasSubstr("bytes, over"));
}

TEST(HostileSchema, DepthIsRefused) {
  EXPECT_FALSE(Compiled(Repeated("{\"items\":", 200) + "{}" + Repeated("}", 200)).ok());
  EXPECT_FALSE(Compiled(std::string(100'000, '[')).ok());
  EXPECT_TRUE(Compiled(Repeated("{\"items\":", 30) + "{}" + Repeated("}", 30)).ok());
}

TEST(HostileSchema, PatternsThatMultiplyAreRefused) {
  for (const char* pattern : {"a{1,1000000}", "(a{1,1000}){1,1000}", "((a{1,100}b){1,100}c){1,100}", "(a+)+$", "(a*)*b",
                              "((((a{9}b){9}c){9}d){9}e){9}"}) {
    EXPECT_THAT(Compiled(std::string("{\"pattern\":\"") + pattern + "\"}").ToString(), HasSubstr("#")) << pattern;
  }
  EXPECT_FALSE(Compiled("{\"pattern\":\"" + std::string(10'000, '(') + "\"}").ok());
  EXPECT_FALSE(Compiled("{\"pattern\":\"" + Repeated("(", 60) + Repeated(")", 60) + "\"}").ok());
  EXPECT_FALSE(Compiled(R"({"pattern":"^(ab|c{2,9}d)*$","minLength":100000,"maxLength":2000000})").ok());
  EXPECT_TRUE(Compiled(R"({"minLength":100000,"maxLength":2000000})").ok());
}

// No node stands for an empty text, so no limit of nodes ends this one.
TEST(HostileSchema, EmptyTextsAreNotRepeated) {
  EXPECT_TRUE(Compiled(R"({"pattern":"^((((){999}()){999}()){999}()){999}$"})").ok());
  EXPECT_TRUE(Compiled(R"({"pattern":"^(()*()){2,}(((){999}()){999}a?){3}$"})").ok());
}

TEST(HostileSchema, ManyOfAThingAreRefused) {
  std::string values, properties;
  for (int i = 0; i < 5000; ++i) {
    values += (i > 0 ? "," : "") + std::to_string(i);
    properties += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":true";
  }
  EXPECT_THAT(Compiled("{\"enum\":[" + values + "]}").ToString(), HasSubstr("#/enum"));
  EXPECT_THAT(Compiled("{\"properties\":{" + properties + "}}").ToString(), HasSubstr("#/properties"));
  EXPECT_FALSE(Compiled("{\"anyOf\":[" + Repeated("{},", 5000) + "{}]}").ok());
  EXPECT_FALSE(Compiled("{\"oneOf\":[" + Repeated("{\"type\":\"null\"},", 200) + "{}]}").ok());
}

TEST(HostileSchema, EnumsOfOneBeginningAreATree) {
  std::string values = "\"\"";
  for (int i = 1; i < 700; ++i) values += ",\"" + std::string(i, 'a') + "\"";
  const auto grammar =
      tests::Compile({GrammarSpec::Kind::kJsonSchema, "{\"enum\":[" + values + "]}", ""}, tests::SmallVocabulary());
  EXPECT_TRUE(tests::AcceptsBytes(grammar, "\"" + std::string(699, 'a') + "\""));
  EXPECT_FALSE(tests::AcceptsBytes(grammar, "\"" + std::string(700, 'a') + "\""));
}

// Each definition uses the next one twice: a copy for every use would be 2^40 of them.
TEST(HostileSchema, DoublingReferencesAreLinear) {
  for (const char* use :
       {"{\"type\":\"object\",\"properties\":{\"a\":%,\"b\":%}}", "{\"anyOf\":[{\"items\":%},{\"items\":%}]}",
        "{\"properties\":{\"a\":{\"allOf\":[%,{\"properties\":{\"z\":%}}]}}}"}) {
    std::string schema = "{\"$ref\":\"#/$defs/d0\",\"$defs\":{";
    for (int i = 0; i < 40; ++i) {
      std::string body = use;
      for (size_t at; (at = body.find('%')) != std::string::npos;) {
        body.replace(at, 1, "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}");
      }
      schema += "\"d" + std::to_string(i) + "\":" + body + ",";
    }
    schema += "\"d40\":{\"type\":\"object\",\"properties\":{\"end\":{\"type\":\"null\"}}}}}";
    EXPECT_TRUE(Compiled(schema).ok()) << Compiled(schema);
  }
}

// Every level can be of either alternative until its end: 2^levels ways to read the beginning.
TEST(HostileSchema, AmbiguityStaysPolynomial) {
  const std::string schema =
      R"({"anyOf":[{"type":"object","properties":{"a":{"$ref":"#"},"x":{"type":"null"}},"required":["a","x"]},
                   {"type":"object","properties":{"a":{"$ref":"#"},"y":{"type":"null"}},"required":["a","y"]},
                   {"type":"null"}]})";
  const auto grammar = tests::Compile({GrammarSpec::Kind::kJsonSchema, schema, ""}, tests::SmallVocabulary());
  std::string document = "null";
  for (int i = 0; i < 20; ++i) document = "{\"a\":" + document + (i % 2 ? ",\"x\":null}" : ",\"y\":null}");
  const double begin = CpuSeconds();
  EXPECT_TRUE(tests::AcceptsBytes(grammar, document));
  EXPECT_LT(CpuSeconds() - begin, kBoundSeconds);
  EXPECT_LT(grammar->bytes(), 4u << 20);
}

TEST(HostileSchema, NestingEndsBeforeItCannotBeClosed) {
  const auto vocabulary = tests::SmallVocabulary();
  const GrammarLimits limits{.max_nesting = 20};
  const auto grammar = tests::Compile({}, vocabulary, limits);
  Matcher matcher(grammar);
  std::string text = "{";
  ASSERT_TRUE(matcher.Accept('{'));
  for (const char c : {'"', '"', ':'}) ASSERT_TRUE(matcher.Accept(c));
  int depth = 0;
  while (matcher.Accept('[')) ++depth;
  EXPECT_GE(depth, 15);
  EXPECT_LE(depth, 20);
  ASSERT_TRUE(matcher.Accept('1') || matcher.Accept('n') || matcher.Accept(']'));
  std::vector<uint64_t> mask(vocabulary->mask_words());
  EXPECT_TRUE(matcher.FillMask(mask));
}

// Ambiguous patterns whose deterministic automaton would be huge are walked, not built.
TEST(HostileSchema, PatternsAreWalkedLazily) {
  const auto grammar = tests::Compile({GrammarSpec::Kind::kJsonSchema, R"({"pattern":"^(a|b)*a(a|b){60}$"})", ""},
                                      tests::SmallVocabulary());
  std::mt19937 random(3);
  std::string text = "\"";
  for (int i = 0; i < 400; ++i) text += random() % 2 ? 'a' : 'b';
  text += "a" + std::string(60, 'b') + "\"";
  const double begin = CpuSeconds();
  EXPECT_TRUE(tests::AcceptsBytes(grammar, text));
  EXPECT_LT(CpuSeconds() - begin, kBoundSeconds);
}

// After every letter a thousand places, and a vocabulary that looks two letters ahead.
TEST(HostileSchema, MasksThatTakeTooMuchAreRefused) {
  std::string letters = "(";
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (char one = 'a'; one <= 'z'; ++one) {
    letters += {one, '?'};
    for (char two = 'a'; two <= 'z'; ++two) tokens.push_back({one, two});
  }
  const size_t width = tokens.size();
  const auto vocabulary = *GrammarVocabulary::Create(std::move(tokens), width, {0});
  const GrammarSpec spec{GrammarSpec::Kind::kJsonSchema, R"({"pattern":"^)" + letters + R"(){40}$"})", ""};
  const auto grammar = tests::Compile(spec, vocabulary, {.max_walk_places = 20'000});
  Matcher matcher(grammar);
  ASSERT_TRUE(matcher.Accept('"'));
  const double begin = CpuSeconds();
  const absl::Status status = matcher.FindMask().status();
  EXPECT_LT(CpuSeconds() - begin, kBoundSeconds);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("too ambiguous"));
  EXPECT_LT(grammar->bytes(), 8u << 20);
  // It is not looked for again, and where it is not asked for the grammar goes on.
  EXPECT_EQ(matcher.FindMask().status(), status);
  EXPECT_TRUE(matcher.Accept('"'));
  EXPECT_TRUE(matcher.CanEnd());
}

// What a small mistake or a fuzzer makes of real schemas: an answer, never a crash, and masks that hold.
TEST(HostileSchema, MutatedSchemasAreAnswered) {
  const std::vector<std::string> seeds = {
      R"({"type":"object","properties":{"a":{"type":"string","pattern":"^[a-z]{1,4}$","maxLength":3},"b":{"$ref":"#/$defs/b"}},"required":["a"],"additionalProperties":{"type":["integer","null"]},"$defs":{"b":{"type":"array","items":{"$ref":"#"},"minItems":1,"maxItems":2}}})",
      R"({"oneOf":[{"const":"x"},{"type":"number","minimum":-3,"exclusiveMaximum":9},{"enum":[null,true,[1]]}],"title":"t"})",
      R"({"allOf":[{"properties":{"k":{"anyOf":[{"prefixItems":[{"type":"integer"}],"items":false},{"format":"date"}]}}},{"required":["k"]}]})",
      R"({"tools":[{"name":"f","schema":{"type":"object","properties":{"x":{"type":"boolean"}}}}],"begin":"<t>","end":"</t>","separator":"\n"})"};
  const std::vector<std::string> pieces = {
      "{",  "}", "[", "]", "\"",   ":",     ",",    "null",        "-1",       "1e9", "\"$ref\":\"#\",",
      "\\", "*", "(", ")", "true", "false", "\xFF", "99999999999", "\"type\":"};
  const auto vocabulary = tests::SmallVocabulary();
  std::mt19937 random(11);
  int compiled = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = seeds[random() % seeds.size()];
    for (uint32_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text.erase(at, 1 + random() % 6);
          break;
        case 1:
          text.insert(at, pieces[random() % pieces.size()]);
          break;
        case 2:
          text[at] = static_cast<char>(random());
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 24));
          break;
      }
      if (text.empty()) text = "{";
    }
    for (const GrammarSpec::Kind kind : {GrammarSpec::Kind::kJsonSchema, GrammarSpec::Kind::kTools}) {
      const auto tools = tests::ToolSpec(text);
      if (kind == GrammarSpec::Kind::kTools && !tools.has_value()) continue;
      const auto grammar = CompileGrammar(kind == GrammarSpec::Kind::kTools ? *tools : GrammarSpec{kind, text});
      if (!grammar.ok()) {
        EXPECT_EQ(grammar.status().code(), absl::StatusCode::kInvalidArgument) << text;
        continue;
      }
      ++compiled;
      if (compiled % 8 == 0)
        tests::RandomDocument(std::make_shared<TokenGrammar>(*grammar, vocabulary, GrammarLimits{}), random, 30);
    }
  }
  EXPECT_GT(compiled, 50);
}

}  // namespace
}  // namespace swiftlet
