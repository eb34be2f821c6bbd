#include "services/gateway/openai/openai_request.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "tests/services/gateway/openai/openai_bodies.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;

TEST(OpenAiRequest, ReadsEveryServedParameter) {
  const auto request = ParseOpenAiRequest(
      Chat(R"("temperature":0,"top_p":0.5,"top_k":-1,"min_p":0.1,"repetition_penalty":1.5,"presence_penalty":-2,
              "frequency_penalty":2,"logit_bias":{"5":-100,"7":1.5},"seed":-1,"max_tokens":10,"min_tokens":2.0,
              "stop":["a","b"],"stop_token_ids":[3,4],"ignore_eos":true,"stop_in_reasoning":true,"n":3,"priority":-5,
              "cache_salt":"s","stream":true,"stream_options":{"include_usage":true})"),
      kChatRoute, true);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(request->stream);
  EXPECT_TRUE(request->include_usage);
  const ValidRequest& generation = request->generations.at(0);
  EXPECT_TRUE(generation.sampling.has_temperature());
  EXPECT_EQ(generation.sampling.temperature(), 0);
  EXPECT_EQ(generation.sampling.top_p(), 0.5f);
  EXPECT_EQ(generation.sampling.top_k(), -1);
  EXPECT_EQ(generation.sampling.min_p(), 0.1f);
  EXPECT_EQ(generation.sampling.repetition_penalty(), 1.5f);
  EXPECT_EQ(generation.sampling.presence_penalty(), -2);
  EXPECT_EQ(generation.sampling.frequency_penalty(), 2);
  EXPECT_EQ(generation.sampling.logit_bias().at(5), -100);
  EXPECT_EQ(generation.sampling.logit_bias().at(7), 1.5f);
  EXPECT_EQ(generation.sampling.seed(), ~uint64_t{0});
  EXPECT_EQ(generation.stop.max_tokens(), 10);
  EXPECT_EQ(generation.stop.min_tokens(), 2);
  EXPECT_THAT(generation.stop.stop(), ElementsAre("a", "b"));
  EXPECT_THAT(generation.stop.stop_token_ids(), ElementsAre(3, 4));
  EXPECT_TRUE(generation.stop.ignore_eos());
  EXPECT_TRUE(generation.stop.stop_in_reasoning());
  EXPECT_EQ(generation.num_choices, 3);
  EXPECT_EQ(generation.priority, -5);
  EXPECT_EQ(generation.cache_salt, "s");
  EXPECT_TRUE(generation.split_reasoning);
  EXPECT_TRUE(Validate(generation, kOpenAiNames, kModels).ok());
}

TEST(OpenAiRequest, ReadsWhatToTellOfTokens) {
  const ValidRequest plain = Parse(Chat(R"("logprobs":false,"top_logprobs":0,"return_token_ids":false)"));
  EXPECT_EQ(plain.logprobs, 0);
  EXPECT_EQ(plain.prompt_logprobs, 0);
  EXPECT_FALSE(plain.return_token_ids);
  EXPECT_EQ(Parse(Chat(R"("logprobs":true)")).logprobs, 1);
  EXPECT_EQ(Parse(Chat(R"("logprobs":true,"top_logprobs":20)")).logprobs, 21);
  EXPECT_EQ(Parse(Chat(R"("prompt_logprobs":0)")).prompt_logprobs, 1);
  EXPECT_TRUE(Parse(Chat(R"("return_token_ids":true)")).return_token_ids);
  EXPECT_TRUE(Parse(Chat(R"("include_stop_str_in_output":true)")).stop.include_stop_str_in_output());

  const auto with = [](std::string_view more) {
    return absl::StrCat(R"({"model":"tiny","prompt":["a","b"],)", ToAbsl(more), "}");
  };
  EXPECT_EQ(Parse(with(R"("logprobs":0)"), kCompletionsRoute).logprobs, 1);
  const auto echo = ParseOpenAiRequest(
      with(R"("logprobs":3,"echo":true,"max_tokens":0,"prompt_logprobs":1,"return_tokens_as_token_ids":true)"),
      kCompletionsRoute, true);
  ASSERT_TRUE(echo.ok()) << echo.status();
  EXPECT_EQ(echo->generations[0].logprobs, 4);
  EXPECT_EQ(echo->generations[0].prompt_logprobs, 4);  // the echo needs them
  EXPECT_EQ(echo->prompt_logprobs, 2);
  EXPECT_TRUE(echo->tokens_as_ids);
  EXPECT_TRUE(echo->generations[1].echo);
  EXPECT_EQ(echo->generations[1].num_siblings, 2);
  EXPECT_TRUE(Validate(echo->generations[0], kOpenAiNames, kModels).ok());
  EXPECT_EQ(Check(with(R"("echo":true,"max_tokens":0)"), kCompletionsRoute), absl::OkStatus());
  EXPECT_EQ(Check(with(R"("prompt_logprobs":0,"max_tokens":0)"), kCompletionsRoute), absl::OkStatus());
  EXPECT_EQ(Fault(with(R"("echo":false,"max_tokens":0)"), kCompletionsRoute), "max_tokens");
  EXPECT_EQ(Fault(with(R"("echo":true,"max_tokens":-1)"), kCompletionsRoute), "max_tokens");
  EXPECT_EQ(Fault(with(R"("logprobs":21)"), kCompletionsRoute), "logprobs");
  EXPECT_EQ(Fault(with(R"("logprobs":-1)"), kCompletionsRoute), "logprobs");
  EXPECT_EQ(Fault(with(R"("logprobs":true)"), kCompletionsRoute), "logprobs");
}

TEST(OpenAiRequest, ReadsTimeAndTemplateVariables) {
  EXPECT_FALSE(Parse(Chat("")).timeout_us.has_value());
  EXPECT_EQ(Parse(Chat(R"("timeout_ms":1500)")).timeout_us, 1'500'000);
  const ValidRequest request = Parse(Chat(R"("chat_template_kwargs":{"b":2,"a":[1.5,"x"]})"));
  EXPECT_EQ(std::get<ChatInput>(request.input).template_kwargs, R"({"b":2,"a":[1.5E0,"x"]})");
  EXPECT_EQ(std::get<ChatInput>(Parse(Chat(R"("chat_template_kwargs":{})")).input).template_kwargs, "");
}

TEST(OpenAiRequest, LeavesOutWhatWasNotSaid) {
  const ValidRequest request = Parse(Chat(R"("temperature":null)"));
  EXPECT_FALSE(request.sampling.has_temperature());
  EXPECT_FALSE(request.sampling.has_seed());
  EXPECT_FALSE(request.stop.has_max_tokens());
  EXPECT_EQ(request.num_choices, 1);
}

TEST(OpenAiRequest, MaxCompletionTokensWins) {
  EXPECT_EQ(Parse(Chat(R"("max_completion_tokens":5,"max_tokens":9)")).stop.max_tokens(), 5);
  EXPECT_EQ(Parse(Chat(R"("max_completion_tokens":5)")).stop.max_tokens(), 5);
}

TEST(OpenAiRequest, NamesTheParameterOutOfRange) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"("n":0)", "n"},
      {R"("n":-1)", "n"},
      {R"("n":129)", "n"},
      {R"("n":9223372036854775808)", "n"},
      {R"("n":1.5)", "n"},
      {R"("n":true)", "n"},
      {R"("temperature":2.0001)", "temperature"},
      {R"("temperature":-0.1)", "temperature"},
      {R"("temperature":1e300)", "temperature"},
      {R"("temperature":"NaN")", "temperature"},
      {R"("top_p":-0.1)", "top_p"},
      {R"("top_p":1.0001)", "top_p"},
      {R"("top_k":-2)", "top_k"},
      {R"("top_k":2147483648)", "top_k"},
      {R"("min_p":1.5)", "min_p"},
      {R"("presence_penalty":2.01)", "presence_penalty"},
      {R"("frequency_penalty":-2.01)", "frequency_penalty"},
      {R"("repetition_penalty":0)", "repetition_penalty"},
      {R"("seed":18446744073709551616)", "seed"},
      {R"("seed":1.5)", "seed"},
      {R"("seed":-9223372036854775809)", "seed"},
      {R"("top_k":18446744073709551616)", "top_k"},
      {R"("min_tokens":18446744073709551616)", "min_tokens"},
      {R"("stop_token_ids":[18446744073709551616])", "stop_token_ids"},
      {R"("max_tokens":18446744073709551615)", "max_tokens"},
      {R"("max_tokens":18446744073709551616)", "max_tokens"},
      {R"("max_completion_tokens":18446744073709551616)", "max_completion_tokens"},
      {R"("max_tokens":0)", "max_tokens"},
      {R"("max_tokens":-1)", "max_tokens"},
      {R"("max_tokens":"10")", "max_tokens"},
      {R"("max_tokens":1.5)", "max_tokens"},
      {R"("max_completion_tokens":0)", "max_completion_tokens"},
      {R"("min_tokens":-1)", "min_tokens"},
      {R"("max_tokens":3,"min_tokens":4)", "min_tokens"},
      {R"("stop":"")", "stop"},
      {R"("stop":[1])", "stop"},
      {R"("stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"])", "stop"},
      {R"("stop_token_ids":[-1])", "stop_token_ids"},
      {R"("stop_token_ids":["1"])", "stop_token_ids"},
      {R"("logit_bias":{"a":1})", "logit_bias"},
      {R"("logit_bias":{"-1":1})", "logit_bias"},
      {R"("logit_bias":{"1":101})", "logit_bias"},
      {R"("logit_bias":{"1":"1"})", "logit_bias"},
      {R"("priority":101)", "priority"},
      {R"("logprobs":1)", "logprobs"},
      {R"("top_logprobs":1)", "top_logprobs"},
      {R"("logprobs":false,"top_logprobs":1)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":-1)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":1.5)", "top_logprobs"},
      {R"("prompt_logprobs":21)", "prompt_logprobs"},
      {R"("prompt_logprobs":-1)", "prompt_logprobs"},
      {R"("echo":true)", "echo"},
      {R"("return_token_ids":1)", "return_token_ids"},
      {R"("include_stop_str_in_output":"yes")", "include_stop_str_in_output"},
      {R"("timeout_ms":0)", "timeout_ms"},
      {R"("timeout_ms":-5)", "timeout_ms"},
      {R"("timeout_ms":86400001)", "timeout_ms"},
      {R"("timeout_ms":9223372036854775807)", "timeout_ms"},
      {R"("timeout_ms":1.5)", "timeout_ms"},
      {R"("chat_template_kwargs":[])", "chat_template_kwargs"},
      {R"("best_of":2)", "best_of"},
      {R"("stream_options":{"include_usage":true})", "stream_options"},
      {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
      {R"("stream":true,"stream_options":{"continuous_usage_stats":"x"})", "stream_options.continuous_usage_stats"},
      {R"("stream":"true")", "stream"},
      {R"("continue_final_message":true)", "continue_final_message"},
  };
  for (const auto& [parameter, field] : cases) EXPECT_EQ(Fault(Chat(parameter)), field) << parameter;
  EXPECT_EQ(Fault(Chat(absl::StrCat(R"("stop":")", std::string(257, 'x'), "\""))), "stop");
  EXPECT_EQ(Fault(Chat(absl::StrCat(R"("cache_salt":")", std::string(257, 'x'), "\""))), "cache_salt");
}

TEST(OpenAiRequest, AcceptsTheEdgesOfRanges) {
  for (const std::string_view parameter :
       {R"("temperature":2.0)", R"("temperature":-0.0)", R"("temperature":1e-9)", R"("top_p":0)", R"("top_p":1e-300)",
        R"("top_p":1)", R"("top_k":0)", R"("top_k":1e1)", R"("seed":9223372036854775807)",
        R"("seed":18446744073709551615)", R"("n":128)", R"("stop":null)", R"("stop":[])", R"("max_tokens":10.0)",
        R"("logit_bias":{})", R"("cache_salt":"\u0000\n \u4f60")", R"("cache_salt":"")"}) {
    EXPECT_EQ(Fault(Chat(parameter)), "") << parameter;
  }
  EXPECT_GT(Parse(Chat(R"("top_p":0)")).sampling.top_p(), 0);
}

TEST(OpenAiRequest, RefusesWhatIsNotOneStrictJsonObject) {
  for (const std::string& body :
       {std::string(), std::string("null"), std::string("[]"), std::string("\"x\""), std::string("123"),
        std::string("{"), Chat("") + "x", "\xEF\xBB\xBF" + Chat(""), std::string("{'model':'tiny'}"),
        Chat(R"("max_tokens":1,"max_tokens":2)"), Chat(R"("temperature":NaN)"), Chat(R"("temperature":1e400)"),
        ChatOf(R"([{"role":"user","content":"\ud800"}])"), ChatOf("[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]"),
        ChatOf("[{\"role\":\"user\",\"content\":\"\xC0\x80\"}]"), Chat("\"x\":" + std::string(40, '[')),
        Chat("\"metadata\":" + std::string(32, '[') + std::string(32, ']')), std::string(100000, '[')}) {
    EXPECT_EQ(Fault(body), "no field") << body.substr(0, 200);
  }
  EXPECT_EQ(Fault(Chat("\"metadata\":" + std::string(31, '[') + std::string(31, ']'))), "");
  EXPECT_EQ(Fault(ChatOf(R"([{"role":"user","content":"a\u0000b"}])")), "");
}

TEST(OpenAiRequest, CountsUnknownNamesAndRefusesThemWhenStrict) {
  const std::string body =
      absl::StrCat(R"({"model":"tiny","foo":1,"maxTokens":2,"stream":true,"stream_options":{"bar":1},)",
                   R"("messages":[{"role":"user","content":"x","baz":1}]})");
  const auto request = ParseOpenAiRequest(body, kChatRoute, /*strict=*/false);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->num_unknown, 4);
  EXPECT_FALSE(request->generations[0].stop.has_max_tokens());
  EXPECT_EQ(ErrorParam(ParseOpenAiRequest(body, kChatRoute, /*strict=*/true).status()), "foo");
  EXPECT_EQ(
      ErrorParam(ParseOpenAiRequest(ChatOf(R"([{"role":"user","content":"x","baz":1}])"), kChatRoute, true).status()),
      "messages[0].baz");
}

TEST(OpenAiRequest, ReadsEachFormOfPrompt) {
  EXPECT_EQ(std::get<TextInput>(Parse(Prompt(R"("ab")"), kCompletionsRoute).input).text, "ab");
  EXPECT_THAT(std::get<TokenInput>(Parse(Prompt("[1,2.0,3]"), kCompletionsRoute).input).ids, ElementsAre(1, 2, 3));
  EXPECT_FALSE(Parse(Prompt("[1]"), kCompletionsRoute).split_reasoning);
  const auto texts = ParseOpenAiRequest(Prompt(R"(["a","b"])"), kCompletionsRoute, true);
  ASSERT_EQ(texts->generations.size(), 2u);
  EXPECT_EQ(std::get<TextInput>(texts->generations[1].input).text, "b");
  const auto ids = ParseOpenAiRequest(Prompt("[[1],[2,3]]"), kCompletionsRoute, true);
  ASSERT_EQ(ids->generations.size(), 2u);
  EXPECT_THAT(std::get<TokenInput>(ids->generations[1].input).ids, ElementsAre(2, 3));
}

TEST(OpenAiRequest, RefusesOddPrompts) {
  for (const std::string_view prompt : {R"("")", "[]", "[[]]", R"(["a",1])", R"([1,"a"])", "[-1]", "[2147483648]",
                                        "[1.5]", "[true]", "[null]", R"(["a",[1]])", R"(["a",""])", "7", "{}"}) {
    EXPECT_EQ(Fault(Prompt(prompt), kCompletionsRoute), "prompt") << prompt;
  }
  std::string many = "[\"a\"";
  for (int i = 0; i < 128; ++i) many += ",\"a\"";
  EXPECT_EQ(Fault(Prompt(many + "]"), kCompletionsRoute), "prompt");
  std::string ids = "[1";
  for (int i = 0; i < 100; ++i) ids += ",1";
  const absl::Status status = Check(Prompt(ids + "]"), kCompletionsRoute);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ErrorCode(status), "context_length_exceeded");
}

TEST(OpenAiRequest, ReadsHowMuchToThink) {
  const auto budget = [](std::string_view more) { return Parse(Chat(more)).thinking_token_budget; };
  EXPECT_EQ(budget(""), std::nullopt);
  EXPECT_EQ(budget(R"("reasoning_effort":"none")"), 0);
  EXPECT_EQ(budget(R"("reasoning_effort":"low")"), 1024);
  EXPECT_EQ(budget(R"("reasoning_effort":"medium")"), 4096);
  EXPECT_EQ(budget(R"("reasoning_effort":"high")"), 16384);
  EXPECT_EQ(budget(R"("reasoning_effort":"xhigh")"), std::nullopt);
  EXPECT_EQ(budget(R"("reasoning_effort":"low","thinking_token_budget":7)"), 7);
  EXPECT_EQ(Fault(Chat(R"("reasoning_effort":"odd")")), "reasoning_effort");
  EXPECT_EQ(Fault(Chat(R"("thinking_token_budget":-1)")), "thinking_token_budget");
  EXPECT_EQ(Fault(Chat(R"("thinking_token_budget":1.5)")), "thinking_token_budget");
  EXPECT_EQ(Fault(R"({"model":"tiny","prompt":"x","thinking_token_budget":5})", kCompletionsRoute),
            "thinking_token_budget");
}

// A request damaged at random is answered, never crashed on; what is still accepted is in range.
TEST(OpenAiRequest, SurvivesMutation) {
  const std::string seeds[] = {
      Chat(R"("temperature":0.5,"stop":["a"],"logit_bias":{"5":1},"seed":7,"n":2,"stream":true,"user":"x")"),
      ChatOf(R"([{"role":"assistant","content":null,"tool_calls":[{"a":[1,2,{"b":null}]}]},
                 {"role":"user","content":[{"type":"text","text":"é\u00e9😀"}]}])"),
      WithTools(R"("tool_choice":{"type":"function","function":{"name":"f"}},"reasoning_effort":"low")"),
      Chat(R"("response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}})"),
      R"({"model":"tiny","prompt":[[1,2],[3]],"max_tokens":3,"min_tokens":1,"stop_token_ids":[1]})"};
  const std::string_view tokens[] = {
      "null",      "true", "-1",        "1e999", "[", "]", "{", "}", "\"", ",", ":", "\\u0000", "9999999999999999999",
      "0.0000001", "\xff", "\"role\":", "[[[["};
  std::mt19937 random(5);
  int num_accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string body = seeds[random() % std::size(seeds)];
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      const size_t at = random() % (body.size() + 1);
      switch (random() % 4) {
        case 0:
          body.insert(at, std::string(tokens[random() % std::size(tokens)]));
          break;
        case 1:
          body.erase(at, 1 + random() % 5);
          break;
        case 2:
          if (at < body.size()) body[at] = static_cast<char>(random());
          break;
        default:
          body.insert(at, body.substr(random() % body.size(), random() % 20));
      }
      if (body.empty()) body = "{}";
    }
    for (const ParameterRoute route : {kChatRoute, kCompletionsRoute}) {
      const absl::Status status = Check(body, route);
      num_accepted += status.ok();
      if (!status.ok()) {
        EXPECT_THAT(HttpStatusCode(status), testing::AnyOf(400, 404)) << status;
      }
    }
  }
  EXPECT_GT(num_accepted, 100);
}

}  // namespace
}  // namespace swiftlet
