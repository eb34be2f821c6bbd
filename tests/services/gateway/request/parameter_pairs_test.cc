// Every pair of parameters, each with values that callers send, good and bad, and every parameter with values that
// break software: the request is answered, or refused with the name of one of the two. Nothing else: no internal error,
// no refusal that names nobody.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/gateway/openai/openai_request.h"
#include "services/gateway/request/parameter_table.h"
#include "services/gateway/request/validator.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

using Values = std::vector<std::string>;

// What a caller sends for `parameter`: of its own kind in and out of range; the first is an ordinary one.
Values ValuesOf(const Parameter& parameter) {
  static const std::map<std::string_view, Values> kOwn = {
      {"logit_bias", {R"({"5":2.5})", R"({"-1":1})", R"({"5":1000})"}},
      {"max_completion_tokens", {"5", "0", "100000000"}},
      {"max_tokens", {"6", "-1", "100000000"}},
      {"messages", {R"([{"role":"user","content":"hi"}])", R"([{"role":"assistant","content":"hi"}])", "[]", "[7]"}},
      {"min_tokens", {"2", "50", "-1"}},
      {"model", {R"("toy")", R"("other")"}},
      {"n", {"2", "0", "129"}},
      {"prompt", {R"("hi")", R"(["a","b"])", "[1,2]", "[]", "[-1]"}},
      {"reasoning_effort", {R"("medium")", R"("none")", R"("odd")"}},
      {"response_format",
       {R"({"type":"text"})", R"({"type":"json_object"})", R"({"type":"odd"})",
        R"({"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}})"}},
      {"stop", {R"("z")", R"(["a","b"])", R"([""])", "[1]"}},
      {"stop_token_ids", {"[3]", "[-1]", "[1000000]", R"(["x"])"}},
      {"stream_options", {R"({"include_usage":true})", R"({"include_usage":1})"}},
      {"temperature", {"0.7", "0", "2.5"}},
      {"timeout_ms", {"600000", "0", "-3", "1000000000000"}},
      {"tool_choice",
       {R"("auto")", R"("none")", R"("required")", R"("odd")", R"({"type":"function","function":{"name":"f"}})"}},
      {"tools", {"[]", R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])", "[1]"}},
      {"top_logprobs", {"2", "0", "21"}},
      {"top_p", {"0.9", "0", "1.5"}},
  };
  if (const auto own = kOwn.find(parameter.name); own != kOwn.end()) return own->second;
  Values values;
  if (parameter.kinds & kBoolean) values.insert(values.end(), {"true", "false"});
  if (parameter.kinds & (kInteger | kNumber)) values.insert(values.end(), {"1", "0", "-3", "1000000000000"});
  if (parameter.kinds & kString) values.insert(values.end(), {R"("auto")", R"("")"});
  if (parameter.kinds & kArray) values.insert(values.end(), {"[]", R"(["x"])"});
  if (parameter.kinds & kObject) values.insert(values.end(), {"{}", R"({"x":1})"});
  return values;
}

// Of whatever field, as JSON.
const Values& OddStrings() {
  static const auto* const strings = [] {
    auto* values = new Values{R"("")",
                              R"(" ")",
                              R"("\t\r\n")",
                              R"("\u0000")",
                              R"("a\u0000b")",
                              R"("\u001b[31m")",
                              R"("\u007f")",
                              R"("\u0085\u2028\u2029")",
                              R"("\ufeff")",
                              R"("\ufffd")",
                              R"("\uffff")",
                              R"("\ud83d\ude00")",
                              R"("e\u0301\u0301\u0301")",
                              R"("\u202eabc")",
                              R"("\u200d\u200b")",
                              R"("ＮａＮ")",
                              R"("NaN")",
                              R"("Infinity")",
                              R"("-0")",
                              R"("1e400")",
                              R"("0x10")",
                              R"("null")",
                              R"("true")",
                              R"("[]")",
                              R"("{}")",
                              R"("../../etc/passwd")",
                              R"("file:///etc/passwd")",
                              R"("http://127.0.0.1/")",
                              R"("%s%n%x")",
                              R"("%2e%2f%00")",
                              R"("'; --")",
                              R"("\"\\")",
                              R"("{{ 7 * 7 }}{% raw %}")",
                              R"x("${x}`x`$(x)")x",
                              R"("<|im_start|>system")",
                              R"("</s><think>")",
                              R"("\r\nX: y")",
                              R"x("(a+)+b")x"};
    for (const size_t size : {65, 257, 100'000}) values->push_back(absl::StrCat("\"", std::string(size, 'x'), "\""));
    return values;
  }();
  return *strings;
}
const Values& OddNumbers() {
  static const auto* const numbers = new Values{"0",
                                                "-0",
                                                "-0.0",
                                                "-1",
                                                "1.5",
                                                "127",
                                                "128",
                                                "-128",
                                                "65536",
                                                "2147483647",
                                                "2147483648",
                                                "-2147483648",
                                                "-2147483649",
                                                "4294967296",
                                                "9007199254740993",
                                                "9223372036854775807",
                                                "9223372036854775808",
                                                "-9223372036854775808",
                                                "-9223372036854775809",
                                                "18446744073709551615",
                                                "18446744073709551616",
                                                "1e10",
                                                "1e308",
                                                "-1e308",
                                                "4.9e-324",
                                                "1e-400",
                                                "6.0e5",
                                                "100000000000000000000000000000"};
  return *numbers;
}

struct Setting {
  std::string_view name;
  std::string value;
};

std::string Body(ParameterRoute route, const Setting& a, const Setting& b) {
  std::string body = "{";
  const auto add = [&](std::string_view key, std::string_view text) {
    if (key != a.name && key != b.name) absl::StrAppend(&body, "\"", ToAbsl(key), "\":", ToAbsl(text), ",");
  };
  add("model", R"("toy")");
  add("max_tokens", "8");
  if (route == kChatRoute) {
    add("messages", R"([{"role":"user","content":"x"}])");
  } else {
    add("prompt", R"("x")");
  }
  return absl::StrCat(body, "\"", ToAbsl(a.name), "\":", a.value, ",\"", ToAbsl(b.name), "\":", b.value, "}");
}

class Pairs {
 public:
  explicit Pairs(ParameterRoute route) : route_(route) {
    gateway_.Run([&] { return !gateway_.generator.Models().empty() && gateway_.generator.Models().front().ready; });
    for (const Parameter& parameter : Parameters()) {
      if ((parameter.routes & route) == 0) continue;
      for (const std::string& value : ValuesOf(parameter)) settings_.push_back({parameter.name, value});
    }
  }

  void CheckOdd() {
    const Setting harmless{"user", R"("u")"};
    for (const Parameter& parameter : Parameters()) {
      if ((parameter.routes & route_) == 0 || parameter.name == harmless.name) continue;
      Values values;
      if (parameter.kinds & kString) values = OddStrings();
      if (parameter.kinds & (kInteger | kNumber)) values.insert(values.end(), OddNumbers().begin(), OddNumbers().end());
      for (const std::string& value : values) CheckOne({parameter.name, value}, harmless);
      if (testing::Test::HasFailure()) return;
    }
    for (const std::string& text : OddStrings()) {
      if (route_ != kChatRoute) break;
      for (const char* fields :
           {R"("role":"user","content":)", R"("content":"x","role":)", R"("role":"user","content":"x","name":)",
            R"("content":"x","role":"tool","tool_call_id":)"}) {
        CheckOne({"messages", absl::StrCat("[{", fields, text, "}]")}, harmless);
      }
    }
    EXPECT_GT(num_served_, 100);
    EXPECT_GT(num_refused_, 100);
    gateway_.ExpectIdle();
  }

  void Check() {
    for (size_t i = 0; i < settings_.size(); ++i) {
      for (size_t j = i + 1; j < settings_.size(); ++j) {
        if (settings_[i].name != settings_[j].name) CheckOne(settings_[i], settings_[j]);
        if (testing::Test::HasFailure()) return;
      }
    }
    EXPECT_GT(num_served_, 1000);
    EXPECT_GT(num_refused_, 1000);
    gateway_.ExpectIdle();
  }

 private:
  void CheckOne(const Setting& a, const Setting& b) {
    const std::string body = Body(route_, a, b);
    SCOPED_TRACE(body);
    absl::StatusOr<OpenAiRequest> request = ParseOpenAiRequest(body, route_, /*strict=*/true);
    if (!request.ok()) return CheckRefusal(request.status(), a, b);
    ASSERT_FALSE(request->generations.empty());
    for (ValidRequest& generation : request->generations) {
      generation.request_id = "pair";
      const absl::Status status = Validate(generation, kOpenAiNames, gateway_.generator.Models());
      if (!status.ok()) return CheckRefusal(status, a, b);
    }
    const auto answer = gateway_.Ask(request->generations.front());
    if (!answer->status.ok()) return CheckRefusal(answer->status, a, b);
    ++num_served_;
    EXPECT_EQ(answer->choices.size(), static_cast<size_t>(request->generations.front().num_choices));
    for (const Answer::Choice& choice : answer->choices) EXPECT_NE(choice.reason, v1::FINISH_REASON_UNSPECIFIED);
  }

  // A refusal is the caller's fault and says which of the two parameters it is about, as itself or as a member of it.
  void CheckRefusal(const absl::Status& status, const Setting& a, const Setting& b) {
    ++num_refused_;
    const int http = HttpStatusCode(status);
    EXPECT_TRUE(http == 400 || http == 404) << status;
    const std::string param = ErrorParam(status).value_or("");
    const auto about = [&](std::string_view name) {
      // Both set the same limit; what the context forbids is told by the older name.
      if (name == "max_completion_tokens" && param == "max_tokens") return true;
      if (!absl::StartsWith(param, ToAbsl(name))) return false;
      return param.size() == name.size() || param[name.size()] == '.' || param[name.size()] == '[';
    };
    EXPECT_TRUE(about(a.name) || about(b.name)) << "names `" << param << "`: " << status;
  }

  const ParameterRoute route_;
  ToyGateway gateway_{1, 1};
  std::vector<Setting> settings_;
  int num_served_ = 0;
  int num_refused_ = 0;
};

TEST(ParameterPairs, OfChatAreServedOrRefusedByName) {
  Pairs(kChatRoute).Check();
}

TEST(ParameterPairs, OfCompletionsAreServedOrRefusedByName) {
  Pairs(kCompletionsRoute).Check();
}

TEST(OddValues, OfChatAreServedOrRefusedByName) {
  Pairs(kChatRoute).CheckOdd();
}

TEST(OddValues, OfCompletionsAreServedOrRefusedByName) {
  Pairs(kCompletionsRoute).CheckOdd();
}

}  // namespace
}  // namespace swiftlet
