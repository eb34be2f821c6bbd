#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tools/swiftlet/chat/answer_event.h"
#include "tools/swiftlet/chat/answer_printer.h"
#include "tools/swiftlet/chat/conversation.h"

namespace swiftlet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Conversation, SendsWhatWasSaidWithSystemAndSettings) {
  Conversation conversation("demo");
  conversation.SetSystem("Be \"brief\".");
  conversation.Add("1 + 1?", "2");
  ASSERT_TRUE(conversation.Set("temperature", "0.25").ok());
  ASSERT_TRUE(conversation.Set("max_tokens", "7").ok());
  ASSERT_TRUE(conversation.Set("max_tokens", "8").ok());
  EXPECT_EQ(
      conversation.RequestBody("And 2 + 2?"),
      R"({"model":"demo","messages":[{"role":"system","content":"Be \"brief\"."},)"
      R"({"role":"user","content":"1 + 1?"},{"role":"assistant","content":"2"},)"
      R"({"role":"user","content":"And 2 + 2?"}],"stream":true,)"
      R"("stream_options":{"include_usage":true,"continuous_usage_stats":true},"temperature":0.25,"max_tokens":8})");
  EXPECT_EQ(conversation.Settings(), "temperature 0.25, max_tokens 8");
  ASSERT_TRUE(conversation.Set("temperature", "default").ok());
  conversation.Reset();
  EXPECT_THAT(conversation.RequestBody("x"),
              AllOf(Not(HasSubstr("1 + 1")), HasSubstr("brief"), Not(HasSubstr("temperature"))));
}

TEST(Conversation, RefusesUnknownSettingsAndValues) {
  Conversation conversation("demo");
  EXPECT_THAT(conversation.Set("temprature", "1").message(), HasSubstr("did you mean temperature?"));
  for (const char* value : {"", "warm", "nan", "inf", "1,\"n\":2"}) {
    EXPECT_FALSE(conversation.Set("temperature", value).ok()) << value;
  }
  EXPECT_FALSE(conversation.Set("max_tokens", "1.5").ok());
  EXPECT_EQ(conversation.Settings(), "");
}

TEST(AnswerEvent, ReadsChunksUsageAndErrors) {
  const AnswerEvent chunk = ReadAnswerEvent(
      R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm","content":"no"},"finish_reason":"length"}],)"
      R"("usage":{"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":4}}})");
  EXPECT_EQ(chunk.thinking, "hm");
  EXPECT_EQ(chunk.text, "no");
  EXPECT_EQ(chunk.finish_reason, "length");
  EXPECT_EQ(chunk.tokens, 9);
  EXPECT_EQ(chunk.thinking_tokens, 4);
  EXPECT_EQ(ReadAnswerEvent(R"({"error":{"message":"gone"}})").error, "gone");
  EXPECT_FALSE(ReadAnswerEvent(R"({"usage":{"completion_tokens":-9223372036854775808}})").tokens.has_value());
  for (const char* data : {"", "x", "[]", "3"}) EXPECT_NE(ReadAnswerEvent(data).error, "") << data;
  for (const char* data :
       {"{}", R"({"choices":null,"usage":null})", R"({"choices":[7]})", R"({"choices":[{"delta":[]}]})"}) {
    EXPECT_EQ(ReadAnswerEvent(data).error, "") << data;
  }
}

struct Shown {
  explicit Shown(AnswerStyle style)
      : printer(
            style, [this](std::string_view text) { out += text; }, start) {}
  void Take(const std::string& thinking, const std::string& text, int64_t tokens = 0) {
    AnswerEvent event;
    event.thinking = thinking;
    event.text = text;
    if (tokens > 0) event.tokens = tokens;
    printer.Take(event, start += std::chrono::milliseconds(100));
  }
  AnswerPrinter::Clock::time_point start{};
  std::string out;
  AnswerPrinter printer;
};

TEST(AnswerPrinter, DimsTheThinkingAndDropsLineFeedsAroundParts) {
  Shown shown({.colour = true, .thinking = true});
  shown.Take("\n", "");
  shown.Take("so\n", "");
  shown.Take("it is\n\n", "\n\n4");
  shown.Take("", "2\n");
  shown.printer.Finish();
  EXPECT_EQ(shown.out, "\x1b[2mso\nit is\x1b[0m\n\n42\n");
  EXPECT_EQ(shown.printer.text(), "\n\n42\n");
}

TEST(AnswerPrinter, EndsTheColourOfThinkingThatBreaksOff) {
  Shown shown({.colour = true, .thinking = true});
  shown.Take("so", "");
  shown.printer.Finish();
  EXPECT_EQ(shown.out, "\x1b[2mso\x1b[0m\n");
}

TEST(AnswerPrinter, NamesThePartsWithoutColourAndHidesTheThinking) {
  Shown plain({.colour = false, .thinking = true});
  plain.Take("so", "");
  plain.Take("", "4");
  plain.printer.Finish();
  EXPECT_EQ(plain.out, "[thinking]\nso\n\n[answer]\n4\n");
  Shown hidden({.colour = true, .thinking = false});
  hidden.Take("so", "");
  hidden.Take("", "4\x1b]0;x\x07");
  hidden.printer.Finish();
  EXPECT_EQ(hidden.out, "4␛]0;x␇\n");
}

TEST(AnswerPrinter, TellsTokensAndTheirRateAfterTheFirst) {
  Shown shown({});
  EXPECT_EQ(shown.printer.Figures(shown.start), "nothing in 0.00 s");
  shown.Take("", "a", 1);
  shown.Take("", "b", 6);
  EXPECT_EQ(shown.printer.Figures(shown.start), "6 tokens in 0.20 s, first after 0.10 s, 50 tokens/s");
}

}  // namespace
}  // namespace swiftlet
