#include "services/gateway/openai/openai_api.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <set>

#include <boost/json/value.hpp>

#include "tests/services/gateway/front_fixture.h"
#include "tests/services/gateway/openai/openai_json.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

TEST(OpenAiApi, ErrorsAreOpenAisOnEveryPath) {
  Front front([](const ValidRequest&) { return TextScript({"x"}); }, {}, false, {"secret", "other"});
  const std::string key = "Authorization: Bearer secret\r\n";
  struct Case {
    std::string_view method, path, body;
    std::string headers;
    int status;
    std::string_view code;
  };
  for (const Case& one : {
           Case{"GET", "/nope", "", key, 404, "unknown_url"},
           Case{"GET", "/v1/../metrics", "", key, 404, "unknown_url"},
           Case{"GET", "//v1/models", "", key, 404, "unknown_url"},
           Case{"GET", "/v1/models/", "", key, 404, "unknown_url"},
           Case{"GET", "/v1/models/none", "", key, 404, "model_not_found"},
           Case{"GET", "/v1/chat/completions", "", key, 405, "method_not_allowed"},
           Case{"DELETE", "/v1/models", "", key, 405, "method_not_allowed"},
           Case{"POST", "/v1/chat/completions", "{", key, 400, "invalid_value"},
           Case{"POST", "/v1/chat/completions", R"({"model":"none","messages":[]})", key, 404, "model_not_found"},
           Case{"POST", "/v1/chat/completions", "{}", key + "Content-Encoding: gzip\r\n", 415,
                "unsupported_media_type"},
           Case{"POST", "/v1/chat/completions", "{}", key + "Content-Type: text/plain\r\n", 415,
                "unsupported_media_type"},
           Case{"POST", "/v1/chat/completions", "{}", key + "Content-Type: application/json; charset=utf-16\r\n", 415,
                "unsupported_media_type"},
           Case{"POST", "/v1/chat/completions", "{", key + "Content-Type: application/json;charset=\"UTF-8\"\r\n", 400,
                "invalid_value"},
           Case{"GET", "/v1/models", "", "", 401, "invalid_api_key"},
           Case{"POST", "/tokenize", "{}", "", 401, "invalid_api_key"},
           Case{"POST", "/detokenize", "{}", "", 401, "invalid_api_key"},
           Case{"GET", "/version", "", "", 401, "invalid_api_key"},
           Case{"GET", "/nope", "", "", 401, "invalid_api_key"},
           Case{"GET", "/v1/models", "", "Authorization: Bearer secre\r\n", 401, "invalid_api_key"},
           Case{"GET", "/v1/models", "", "Authorization: Basic secret\r\n", 401, "invalid_api_key"},
           Case{"GET", "/v1/models", "", key + key, 400, "malformed_http"},
       }) {
    const TestResponse response = front.Ask(one.method, one.path, one.body, one.headers);
    EXPECT_EQ(response.status, one.status) << one.path;
    const json::value error = Json(response.body).at("error");
    EXPECT_EQ(Text(error.at("code")), one.code) << one.path;
    EXPECT_FALSE(Text(error.at("message")).empty());
    EXPECT_EQ(response.headers.contains("allow"), one.status == 405);
    EXPECT_EQ(response.headers.contains("www-authenticate"), one.status == 401);
  }
  EXPECT_EQ(front.Ask("GET", "/v1/models", "", "Authorization: Bearer other\r\n").status, 200);
  EXPECT_EQ(front.Ask("GET", "/readyz").status, 200);
}

TEST(OpenAiApi, TokenizesAndBack) {
  Front front({"x"});
  const auto tokenize = [&](std::string_view body) { return front.Ask("POST", "/tokenize", body); };
  EXPECT_EQ(tokenize(R"({"model":"tiny","prompt":"ab"})").body,
            R"({"count":3,"max_model_len":1000,"tokens":[256,97,98],"token_strs":null})");
  EXPECT_EQ(tokenize(R"({"model":"tiny","prompt":"a","add_special_tokens":false,"return_token_strs":true})").body,
            R"({"count":1,"max_model_len":1000,"tokens":[97],"token_strs":[""]})");
  EXPECT_EQ(tokenize(R"({"model":"tiny","prompt":[5,6]})").body,
            R"({"count":2,"max_model_len":1000,"tokens":[5,6],"token_strs":null})");
  EXPECT_EQ(Json(tokenize(R"({"model":"tiny","messages":[{"role":"user","content":"hi"}]})").body).at("count"), 2);
  EXPECT_EQ(front.Ask("POST", "/detokenize", R"({"model":"tiny","tokens":[104,105]})").body, R"({"prompt":"hi"})");
  EXPECT_EQ(front.generator.requests().size(), 0u);

  const auto fault = [&](std::string_view path, std::string_view body) {
    const TestResponse response = front.Ask("POST", path, body);
    EXPECT_EQ(response.status, 400) << body;
    return Text(Json(response.body).at("error").at("param"));
  };
  EXPECT_EQ(fault("/tokenize", R"({"model":"tiny"})"), "prompt");
  EXPECT_EQ(fault("/tokenize", R"({"model":"tiny","prompt":["a","b"]})"), "prompt");
  EXPECT_EQ(fault("/tokenize", R"({"model":"tiny","prompt":"a","messages":[{"role":"user","content":"a"}]})"),
            "prompt");
  EXPECT_EQ(fault("/tokenize", R"({"model":"tiny","prompt":"a","return_token_strs":1})"), "return_token_strs");
  EXPECT_EQ(fault("/tokenize", R"({"model":"tiny","messages":[{"role":"robot","content":"a"}]})"), "messages[0].role");
  EXPECT_EQ(fault("/detokenize", R"({"tokens":[1]})"), "model");
  EXPECT_EQ(fault("/detokenize", R"({"model":"tiny"})"), "tokens");
  EXPECT_EQ(fault("/detokenize", R"({"model":"tiny","tokens":"1"})"), "tokens");
  EXPECT_EQ(fault("/detokenize", R"({"model":"tiny","tokens":["1"]})"), "tokens");
  EXPECT_EQ(fault("/detokenize", R"({"model":"tiny","tokens":[1.5]})"), "tokens");
  EXPECT_EQ(front.Ask("POST", "/tokenize", R"({"model":"none","prompt":"a"})").status, 404);
  EXPECT_EQ(front.Ask("GET", "/tokenize").status, 405);
}

TEST(OpenAiApi, TellsItsVersion) {
  Front front({"x"});
  EXPECT_FALSE(Text(Json(front.Ask("GET", "/version").body).at("version")).empty());
}

TEST(OpenAiApi, ListsModels) {
  Front front({"x"});
  front.generator.models.push_back({.name = "org/model", .max_model_len = 5, .created_unix_s = 9});
  const json::value list = Json(front.Ask("GET", "/v1/models").body);
  EXPECT_EQ(Text(list.at("object")), "list");
  ASSERT_EQ(list.at("data").get_array().size(), 2u);
  EXPECT_EQ(Text(list.at("data").at(1).at("id")), "org/model");
  EXPECT_EQ(front.Ask("GET", "/v1/models/org/model").body, front.Ask("GET", "/v1/models/org%2Fmodel").body);
  EXPECT_EQ(front.Ask("GET", "/v1/models/org/model?x=1").status, 200);
  EXPECT_EQ(front.Ask("POST", kChatPath, R"({"model":"org/model","messages":[{"role":"user","content":"x"}]})").status,
            503);  // not ready
}

TEST(OpenAiApi, HealthTellsTheTruth) {
  Front front({"x"});
  EXPECT_EQ(front.Ask("GET", "/readyz").status, 200);
  EXPECT_EQ(front.Ask("GET", "/health").status, 200);
  front.health.Set(HealthState::kDraining, "draining");
  EXPECT_EQ(front.Ask("GET", "/readyz").status, 503);
  EXPECT_EQ(front.Ask("GET", "/livez").status, 200);
}

TEST(OpenAiApi, HeadRequestGetsNoBody) {
  Front front({"x"});
  HttpClient client = front.Connect();
  client.Send(MakeHttpRequest("HEAD", "/readyz") + MakeHttpRequest("HEAD", "/v1/completions") +
              MakeHttpRequest("GET", "/livez"));
  EXPECT_EQ(client.Read(/*to_head=*/true)->status, 200);
  EXPECT_EQ(client.Read(/*to_head=*/true)->status, 405);
  EXPECT_EQ(client.Read()->body, R"({"status":"alive"})");
}

TEST(OpenAiApi, EchoesRequestId) {
  Front front({"x"});
  EXPECT_EQ(front.Ask("GET", "/livez", "", "X-Request-Id: abc-1\r\n").headers.at("x-request-id"), "abc-1");
  EXPECT_FALSE(front.Ask("GET", "/livez", "", absl::StrCat("X-Request-Id: ", std::string(65, 'x'), "\r\n"))
                   .headers.contains("x-request-id"));
  EXPECT_EQ(front.Ask("POST", kChatPath, kStreamBody, "X-Request-Id: abc-2\r\n").headers.at("x-request-id"), "abc-2");
}

TEST(OpenAiApi, CountsUnknownParameters) {
  Front front({"x"});
  EXPECT_EQ(front.Chat(R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"foo":1,"bar":2})").status, 200);
  EXPECT_EQ(front.num_unknown, 2);
  EXPECT_EQ(front.Ask("POST", "/detokenize", R"({"model":"tiny","tokens":[],"foo":1})").status, 200);
  EXPECT_EQ(front.num_unknown, 3);
  Front strict([](const ValidRequest&) { return TextScript({"x"}); }, {}, /*strict=*/true);
  EXPECT_EQ(strict.Ask("POST", "/detokenize", R"({"model":"tiny","tokens":[],"foo":1})").status, 400);
  const TestResponse response = strict.Chat(R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"foo":1})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Text(Json(response.body).at("error").at("param")), "foo");
}

TEST(OpenAiApi, RequestIdsDiffer) {
  Front front({"x"});
  for (int i = 0; i < 50; ++i) front.Chat(kChatBody);
  std::set<std::string> ids;
  for (const ValidRequest& request : front.generator.requests()) ids.insert(request.request_id);
  EXPECT_EQ(ids.size(), 50u);
}

}  // namespace
}  // namespace swiftlet
