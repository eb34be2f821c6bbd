#include "services/gateway/openai/openai_answer.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>

#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/text/decode/vocabulary.h"
#include "tests/services/gateway/front_fixture.h"
#include "tests/services/gateway/openai/openai_json.h"

namespace swiftlet {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

FakeScript Reasoned() {
  FakeScript script = TextScript({"an", "swer \"é\n😀"});
  script.steps.insert(script.steps.begin(), {{ReasoningDelta("think")}, {ReasoningDelta("ing")}, {TextDelta("")}});
  script.usage.set_completion_tokens(5);
  script.usage.set_cached_tokens(2);
  script.usage.set_reasoning_tokens(3);
  return script;
}

TEST(OpenAiAnswer, AnswersChatWhole) {
  Front front([](const ValidRequest&) { return Reasoned(); });
  const TestResponse response = front.Chat(kChatBody);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  const json::value body = Json(response.body);
  EXPECT_EQ(Text(body.at("object")), "chat.completion");
  EXPECT_EQ(Text(body.at("model")), "tiny");
  EXPECT_EQ(Text(body.at("id")).substr(0, 9), "chatcmpl-");
  EXPECT_GT(body.at("created").get_int64(), 1'600'000'000);
  ASSERT_EQ(body.at("choices").get_array().size(), 1u);
  const json::value& choice = body.at("choices").at(0);
  EXPECT_EQ(choice.at("index"), 0);
  EXPECT_EQ(Text(choice.at("message").at("role")), "assistant");
  EXPECT_EQ(Text(choice.at("message").at("content")), "answer \"é\n😀");
  EXPECT_EQ(Text(choice.at("message").at("reasoning_content")), "thinking");
  EXPECT_EQ(Text(choice.at("finish_reason")), "stop");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  EXPECT_EQ(body.at("usage"), Json(R"({"prompt_tokens":3,"completion_tokens":5,"total_tokens":8,
                     "prompt_tokens_details":{"cached_tokens":2},
                     "completion_tokens_details":{"reasoning_tokens":3}})"));
}

// Step by step, so that each has an event of its own.
FakeScript Paced(FakeScript script) {
  script.pause = std::chrono::microseconds(100);
  return script;
}

TEST(OpenAiAnswer, StreamsChatToTheSameText) {
  Front front([](const ValidRequest&) { return Paced(Reasoned()); });
  const TestResponse response = front.Chat(
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"stream":true,
          "stream_options":{"include_usage":true}})");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.headers.at("content-type"), HasSubstr("text/event-stream"));
  const std::vector<std::string> events = Events(response.body);
  ASSERT_EQ(events.size(), 6u);  // four deltas, the usage, the end
  std::string content;
  std::string reasoning;
  std::set<std::string> ids;
  for (size_t i = 0; i < 4; ++i) {
    const json::value chunk = Json(events[i]);
    ids.insert(Text(chunk.at("id")));
    EXPECT_EQ(Text(chunk.at("object")), "chat.completion.chunk");
    EXPECT_TRUE(chunk.at("usage").is_null());
    const json::value& choice = chunk.at("choices").at(0);
    const json::object& delta = choice.at("delta").get_object();
    EXPECT_EQ(delta.contains("role"), i == 0);
    if (delta.contains("content")) content += Text(delta.at("content"));
    if (delta.contains("reasoning_content")) reasoning += Text(delta.at("reasoning_content"));
    EXPECT_EQ(choice.at("finish_reason").is_null(), i < 3);
  }
  EXPECT_EQ(content, "answer \"é\n😀");
  EXPECT_EQ(reasoning, "thinking");
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_TRUE(Json(events[4]).at("choices").get_array().empty());
  EXPECT_EQ(Json(events[4]).at("usage").at("total_tokens"), 8);
  EXPECT_EQ(events[5], "[DONE]");
  EXPECT_THAT(front.Chat(kStreamBody).body, testing::Not(HasSubstr("usage")));
}

TEST(OpenAiAnswer, MergesStepsForWhichTheConnectionWasNotReady) {
  Front front([](const ValidRequest&) {
    FakeScript script = Reasoned();  // all steps at once
    script.steps.push_back({TextDelta("x", {}, 1)});
    script.steps.push_back({TextDelta("y", v1::FINISH_REASON_LENGTH, 1)});
    return script;
  });
  const TestResponse response =
      front.Chat(R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"n":2,"stream":true,
                     "stream_options":{"include_usage":true,"continuous_usage_stats":true}})");
  const std::vector<std::string> events = Events(response.body);
  ASSERT_EQ(events.size(), 4u);  // one for each choice, the usage, the end
  const json::value first = Json(events[0]);
  EXPECT_EQ(first.at("choices").at(0).at("delta"),
            Json(R"({"role":"assistant","reasoning_content":"thinking","content":"answer \"é\n😀"})"));
  EXPECT_EQ(first.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(first.at("usage").at("completion_tokens"), 5);
  const json::value second = Json(events[1]);
  EXPECT_EQ(second.at("choices").at(0).at("index"), 1);
  EXPECT_EQ(second.at("choices").at(0).at("delta"), Json(R"({"role":"assistant","content":"xy"})"));
  EXPECT_EQ(second.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(second.at("usage").at("completion_tokens"), 7);
}

TEST(OpenAiAnswer, GivesEachChoiceItsIndex) {
  Front front([](const ValidRequest&) {
    FakeScript script;
    script.steps = {{TextDelta("a", {}, 0), TextDelta("x", {}, 2)},
                    {TextDelta("b", v1::FINISH_REASON_LENGTH, 0), TextDelta("m", v1::FINISH_REASON_STOP, 1)},
                    {TextDelta("", v1::FINISH_REASON_STOP, 2)}};
    return script;
  });
  const json::value body =
      Json(front.Chat(R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"n":3})").body);
  const auto& choices = body.at("choices").get_array();
  ASSERT_EQ(choices.size(), 3u);
  EXPECT_EQ(Text(choices[0].at("message").at("content")), "ab");
  EXPECT_EQ(Text(choices[0].at("finish_reason")), "length");
  EXPECT_EQ(Text(choices[1].at("message").at("content")), "m");
  EXPECT_EQ(Text(choices[2].at("message").at("content")), "x");
  EXPECT_TRUE(choices[2].at("message").at("reasoning_content").is_null());
}

TEST(OpenAiAnswer, NumbersChoicesOfSeveralPrompts) {
  Front front([](const ValidRequest& request) {
    const std::string& text = std::get<TextInput>(request.input).text;
    FakeScript script;
    script.steps = {
        {TextDelta(text + "0", v1::FINISH_REASON_STOP, 0), TextDelta(text + "1", v1::FINISH_REASON_STOP, 1)}};
    script.usage.set_prompt_tokens(2);
    script.usage.set_completion_tokens(2);
    return script;
  });
  const std::string body = R"({"model":"tiny","prompt":["a","b","c"],"n":2)";
  const json::value whole = Json(front.Ask("POST", "/v1/completions", body + "}").body);
  EXPECT_EQ(Text(whole.at("object")), "text_completion");
  const char* expected[] = {"a0", "a1", "b0", "b1", "c0", "c1"};
  ASSERT_EQ(whole.at("choices").get_array().size(), 6u);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(Text(whole.at("choices").at(i).at("text")), expected[i]);
  EXPECT_EQ(whole.at("usage").at("total_tokens"), 12);

  const std::vector<std::string> events =
      Events(front.Ask("POST", "/v1/completions", body + R"(,"stream":true})").body);
  ASSERT_EQ(events.size(), 7u);
  for (size_t i = 0; i < 6; ++i) {
    const json::value chunk = Json(events[i]);
    const auto index = static_cast<size_t>(chunk.at("choices").at(0).at("index").get_int64());
    EXPECT_EQ(Text(chunk.at("choices").at(0).at("text")), expected[index]);
  }
  EXPECT_EQ(events[6], "[DONE]");
}

// Two choices of "ab<end>" and "b", with what they say of their tokens; the prompt is "<end>ab".
FakeScript TokensScript() {
  FakeScript script;
  auto vocabulary = std::make_shared<Vocabulary>();
  for (const char* token : {"<end>", "a", "b"}) EXPECT_TRUE(vocabulary->Append(token).ok());
  EXPECT_TRUE(vocabulary->MarkSpecial(0).ok());
  script.vocabulary = vocabulary;
  script.prompt_ids = {0, 1, 2};
  const auto position = [](int32_t id, float logprob) {
    v1::PositionLogprobs position;
    position.mutable_chosen()->set_token_id(id);
    position.mutable_chosen()->set_logprob(logprob);
    *position.add_top() = position.chosen();
    return position;
  };
  const auto delta = [&](int32_t choice, std::string text, std::vector<int32_t> ids, std::vector<int32_t> offsets,
                         v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED) {
    ChoiceDelta delta = TextDelta(std::move(text), reason, choice);
    delta.num_tokens = static_cast<int32_t>(ids.size());
    delta.token_ids = std::move(ids);
    delta.text_offsets = std::move(offsets);
    for (const int32_t id : delta.token_ids) delta.logprobs.push_back(position(id, -0.5f - static_cast<float>(id)));
    return delta;
  };
  script.steps = {{delta(0, "", {1}, {0})},  // held back
                  {delta(1, "b", {2}, {0}, v1::FINISH_REASON_LENGTH), delta(0, "ab", {2}, {1})},
                  {delta(0, "", {0}, {2}, v1::FINISH_REASON_STOP)}};
  script.steps[0][0].prompt_logprobs = {position(1, -1.25f), position(2, -2.25f)};
  return script;
}

constexpr std::string_view kTellAll =
    R"("n":2,"echo":true,"logprobs":1,"prompt_logprobs":0,"return_token_ids":true,"max_tokens":5)";

TEST(OpenAiAnswer, CompletionTellsOfItsTokens) {
  Front front([](const ValidRequest&) { return TokensScript(); });
  const json::value body =
      Json(front.Ask("POST", "/v1/completions", absl::StrCat(R"({"model":"tiny","prompt":"x",)", ToAbsl(kTellAll), "}"))
               .body);
  const json::value& first = body.at("choices").at(0);
  EXPECT_EQ(Text(first.at("text")), "abab");
  EXPECT_EQ(first.at("logprobs"), Json(R"({"tokens":["<end>","a","b","a","b","<end>"],
      "token_logprobs":[null,-1.25,-2.25,-1.5,-2.5,-0.5],
      "top_logprobs":[null,{"a":-1.25},{"b":-2.25},{"a":-1.5},{"b":-2.5},{"<end>":-0.5}],
      "text_offset":[0,0,1,2,3,4]})"));
  EXPECT_EQ(first.at("token_ids"), Json("[1,2,0]"));
  EXPECT_EQ(first.at("prompt_token_ids"), Json("[0,1,2]"));
  EXPECT_EQ(first.at("prompt_logprobs"), Json(R"([null,{"1":{"logprob":-1.25,"rank":null,"decoded_token":"a"}},
                                                       {"2":{"logprob":-2.25,"rank":null,"decoded_token":"b"}}])"));
  const json::value& second = body.at("choices").at(1);
  EXPECT_EQ(Text(second.at("text")), "abb");
  EXPECT_EQ(second.at("logprobs").at("tokens"), Json(R"(["<end>","a","b","b"])"));
  EXPECT_EQ(second.at("token_ids"), Json("[2]"));
  EXPECT_EQ(second.at("prompt_logprobs"), first.at("prompt_logprobs"));
}

// Lists joined, text joined, anything else as it came first.
void Join(json::object& into, const json::object& piece) {
  for (const auto& member : piece) {
    json::value& value = into[member.key()];
    if (value.is_null()) {
      value = member.value();
    } else if (value.is_object() && member.value().is_object()) {
      Join(value.get_object(), member.value().get_object());
    } else if (value.is_array()) {
      for (const json::value& one : member.value().get_array()) value.get_array().push_back(one);
    } else if (value.is_string() && member.value().is_string() && member.key() != "role") {
      value.get_string().append(member.value().get_string());
    }
  }
}

TEST(OpenAiAnswer, StreamTellsTheSameOfTokens) {
  for (const auto& [chat, paced] : {std::pair(false, true), {true, true}, {false, false}, {true, false}}) {
    Front front([paced](const ValidRequest&) { return paced ? Paced(TokensScript()) : TokensScript(); });
    const std::string body =
        chat ? R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"n":2,"logprobs":true,"top_logprobs":1,
                   "prompt_logprobs":0,"return_token_ids":true)"
             : absl::StrCat(R"({"model":"tiny","prompt":"x",)", ToAbsl(kTellAll));
    const std::string_view path = chat ? kChatPath : "/v1/completions";
    const json::value whole = Json(front.Ask("POST", path, body + "}").body);
    const std::vector<std::string> events = Events(front.Ask("POST", path, body + R"(,"stream":true})").body);
    std::vector<json::object> choices(2);
    json::object answer;
    for (size_t i = 0; i + 1 < events.size(); ++i) {
      json::object chunk = Json(events[i]).get_object();
      const json::object& choice = chunk.at("choices").at(0).get_object();
      Join(choices[static_cast<size_t>(choice.at("index").get_int64())], choice);
      chunk.erase("choices");
      Join(answer, chunk);
    }
    EXPECT_EQ(events.size(), paced ? 5u : 3u);  // one for each delta, the one without text too, or for each choice
    for (size_t i = 0; i < 2; ++i) {
      const json::object& expected = whole.at("choices").at(i).get_object();
      EXPECT_EQ(choices[i].at("logprobs"), expected.at("logprobs"));
      EXPECT_EQ(choices[i].at("token_ids"), expected.at("token_ids"));
      EXPECT_EQ(choices[i].at("finish_reason"), expected.at("finish_reason"));
      if (chat) {
        EXPECT_EQ(choices[i].at("delta").at("content"), expected.at("message").at("content"));
        EXPECT_EQ(expected.at("logprobs").at("content").get_array().size(), i == 0 ? 3u : 1u);
      } else {
        EXPECT_EQ(choices[i].at("text"), expected.at("text"));
        EXPECT_EQ(choices[i].at("prompt_token_ids"), expected.at("prompt_token_ids"));
        EXPECT_EQ(choices[i].at("prompt_logprobs"), expected.at("prompt_logprobs"));
      }
    }
    if (!chat) continue;
    EXPECT_EQ(answer.at("prompt_token_ids"), whole.at("prompt_token_ids"));
    EXPECT_EQ(answer.at("prompt_logprobs"), whole.at("prompt_logprobs"));
    EXPECT_EQ(whole.at("prompt_token_ids"), Json("[0,1,2]"));
  }
}

TEST(OpenAiAnswer, TellsNothingOfTokensUnlessAsked) {
  Front front([](const ValidRequest&) { return TokensScript(); });
  const std::string body = front.Ask("POST", "/v1/completions", R"({"model":"tiny","prompt":"x","n":2})").body;
  EXPECT_THAT(body, testing::Not(HasSubstr("token_ids")));
  EXPECT_THAT(body, testing::Not(HasSubstr("prompt_logprobs")));
  EXPECT_TRUE(Json(body).at("choices").at(0).at("logprobs").is_null());
  EXPECT_EQ(Text(Json(body).at("choices").at(0).at("text")), "ab");
}

TEST(OpenAiAnswer, OneFailedPromptEndsTheOthers) {
  Front front([](const ValidRequest& request) {
    FakeScript script = TextScript({"x"});
    if (std::get<TextInput>(request.input).text == "bad") {
      script.start = false;
      script.steps.clear();
      script.end = WithRetryAfter(absl::ResourceExhaustedError("full"), 2500);
    } else {
      script.never_end = true;
    }
    return script;
  });
  const TestResponse response = front.Ask("POST", "/v1/completions", R"({"model":"tiny","prompt":["a","bad"]})");
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.at("retry-after"), "3");
  EXPECT_EQ(response.headers.at("retry-after-ms"), "2500");
  EXPECT_EQ(Text(Json(response.body).at("error").at("type")), "rate_limit_error");
  EXPECT_TRUE(Eventually([&] { return front.generator.num_abandoned() == 1; }));
}

TEST(OpenAiAnswer, TellsErrorBeforeAndInStream) {
  for (const bool start : {false, true}) {
    Front front([&](const ValidRequest&) {
      FakeScript script = TextScript({"a"});
      script.start = start;
      if (!start) script.steps.clear();
      script.end = WithErrorCode(absl::OutOfRangeError("This model's maximum context length is 5 tokens."),
                                 "context_length_exceeded");
      return script;
    });
    const TestResponse response = front.Chat(kStreamBody);
    EXPECT_EQ(response.status, start ? 200 : 400);
    const std::string error = start ? Events(response.body).back() : response.body;
    EXPECT_EQ(Json(error), Json(R"({"error":{"message":"This model's maximum context length is 5 tokens.",
                                    "type":"invalid_request_error","param":null,"code":"context_length_exceeded"}})"));
  }
}

TEST(OpenAiAnswer, StreamsEmptyAnswer) {
  Front front([](const ValidRequest&) {
    FakeScript script;
    script.start = false;
    return script;
  });
  EXPECT_EQ(front.Chat(kStreamBody).body, "data: [DONE]\n\n");
}

ChoiceDelta CallDelta(ToolCallPiece piece, v1::FinishReason finish = v1::FINISH_REASON_UNSPECIFIED) {
  ChoiceDelta delta = TextDelta("", finish);
  delta.tool_calls = {std::move(piece)};
  return delta;
}

FakeScript CallScript(const ValidRequest&) {
  FakeScript script;
  script.steps = {{CallDelta({.index = 0, .id = "call_1", .name = "f", .arguments = "{\"a\""})},
                  {CallDelta({.index = 0, .arguments = ": 1}"})},
                  {CallDelta({.index = 1, .id = "call_2", .name = "g", .arguments = "{}"})},
                  {TextDelta("", v1::FINISH_REASON_TOOL_CALLS)}};
  return script;
}

constexpr std::string_view kCallBody =
    R"({"model":"tiny","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]})";

TEST(OpenAiAnswer, TellsCallsOfTools) {
  Front front(CallScript);
  const json::value answer = Json(front.Chat(kCallBody).body);
  const json::value& choice = answer.at("choices").at(0);
  EXPECT_EQ(Text(choice.at("finish_reason")), "tool_calls");
  EXPECT_TRUE(choice.at("message").at("content").is_null());
  EXPECT_EQ(choice.at("message").at("tool_calls"),
            Json(R"([{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
                     {"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}])"));
  EXPECT_FALSE(
      Json(Front({"x"}).Chat(kCallBody).body).at("choices").at(0).at("message").as_object().contains("tool_calls"));
}

TEST(OpenAiAnswer, StreamsCallsOfTools) {
  Front front([](const ValidRequest& request) { return Paced(CallScript(request)); });
  std::string body(kCallBody);
  body.replace(body.size() - 1, 1, R"(,"stream":true})");
  const std::string stream = front.Chat(body).body;
  const std::string_view deltas[] = {
      R"("delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]},"logprobs":null,"finish_reason":null)",
      R"("delta":{"tool_calls":[{"index":0,"function":{"arguments":": 1}"}}]},"logprobs":null,"finish_reason":null)",
      R"("delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]})",
      R"("delta":{},"logprobs":null,"finish_reason":"tool_calls")"};
  size_t at = 0;
  for (const std::string_view delta : deltas) {
    at = stream.find(delta, at);
    ASSERT_NE(at, std::string::npos) << delta << "\n" << stream;
  }
  EXPECT_THAT(
      Front(CallScript).Chat(body).body,  // all steps at once
      HasSubstr(
          R"("tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},)"
          R"({"index":1,"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls")"));
}

}  // namespace
}  // namespace swiftlet
