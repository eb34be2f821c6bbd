#include "services/gateway/request/output_form.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "tests/services/gateway/openai/openai_bodies.h"

namespace swiftlet {
namespace {

TEST(OutputForm, ReadsTools) {
  ValidRequest request = Parse(WithTools(""));
  EXPECT_EQ(request.form.kind, OutputForm::kToolCalls);
  ASSERT_EQ(request.form.tools.size(), 2u);
  EXPECT_EQ(request.form.tools[0].name, "f");
  EXPECT_EQ(request.form.tools[0].schema, R"({"type":"object","properties":{"z":{"type":"number"},"a":{}}})");
  EXPECT_EQ(request.form.tools[1].schema, "");
  EXPECT_FALSE(request.form.calls_required);
  EXPECT_TRUE(request.form.several_calls);
  EXPECT_EQ(absl::StrCat("\"tools\":", std::get<ChatInput>(request.input).tools), ToAbsl(kTools));

  EXPECT_FALSE(Parse(WithTools(R"("tool_choice":"auto")")).form.calls_required);
  EXPECT_TRUE(Parse(WithTools(R"("tool_choice":"required")")).form.calls_required);
  EXPECT_FALSE(Parse(WithTools(R"("parallel_tool_calls":false)")).form.several_calls);
  // "none": the model is not told of them.
  request = Parse(WithTools(R"("tool_choice":"none","response_format":{"type":"json_object"})"));
  EXPECT_EQ(request.form.kind, OutputForm::kJsonObject);
  EXPECT_EQ(std::get<ChatInput>(request.input).tools, "");
  // A named one: told of all, calls that one, once.
  request = Parse(WithTools(R"("tool_choice":{"type":"function","function":{"name":"g-1"}})"));
  ASSERT_EQ(request.form.tools.size(), 1u);
  EXPECT_EQ(request.form.tools[0].name, "g-1");
  EXPECT_TRUE(request.form.calls_required);
  EXPECT_FALSE(request.form.several_calls);
  EXPECT_EQ(absl::StrCat("\"tools\":", std::get<ChatInput>(request.input).tools), ToAbsl(kTools));
  for (const std::string_view nothing :
       {R"("tools":[])", R"("tools":null,"tool_choice":"auto")", R"("tool_choice":"none")"}) {
    EXPECT_EQ(Parse(Chat(nothing)).form.kind, OutputForm::kAny) << nothing;
  }
}

TEST(OutputForm, RefusesToolsByName) {
  const auto tool = [](std::string_view function) {
    return Chat(absl::StrCat(R"("tools":[{"type":"function","function":)", ToAbsl(function), "}]"));
  };
  EXPECT_EQ(Fault(Chat(R"("tools":{})")), "tools");
  EXPECT_EQ(Fault(Chat(R"("tools":[1])")), "tools[0]");
  EXPECT_EQ(Fault(Chat(R"("tools":[{}])")), "tools[0].type");
  EXPECT_EQ(Fault(Chat(R"("tools":[{"type":"custom"}])")), "tools[0].type");
  EXPECT_EQ(Fault(Chat(R"("tools":[{"type":"function"}])")), "tools[0].function");
  EXPECT_EQ(Fault(Chat(R"("tools":[{"type":"function","function":"f"}])")), "tools[0].function");
  EXPECT_EQ(Fault(tool("{}")), "tools[0].function.name");
  for (const std::string_view name : {R"("")", R"("a b")", R"("é")", R"("a\"b")", "7"}) {
    EXPECT_EQ(Fault(tool(absl::StrCat(R"({"name":)", ToAbsl(name), "}"))), "tools[0].function.name") << name;
  }
  EXPECT_EQ(Fault(tool(absl::StrCat(R"({"name":")", std::string(65, 'a'), "\"}"))), "tools[0].function.name");
  EXPECT_EQ(Fault(tool(R"({"name":"f","description":1})")), "tools[0].function.description");
  EXPECT_EQ(Fault(tool(R"({"name":"f","strict":"yes"})")), "tools[0].function.strict");
  EXPECT_EQ(Fault(tool(R"({"name":"f","parameters":[]})")), "tools[0].function.parameters");
  EXPECT_EQ(Fault(tool(R"({"name":"f","parameters":{"type":"array"}})")), "tools[0].function.parameters.type");
  EXPECT_EQ(
      Fault(
          Chat(R"("tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}])")),
      "tools[1].function.name");
  std::string many;
  for (int i = 0; i < 129; ++i)
    absl::StrAppend(&many, i > 0 ? "," : "", R"({"type":"function","function":{"name":"f)", i, "\"}}");
  EXPECT_EQ(Fault(Chat(absl::StrCat("\"tools\":[", many, "]"))), "tools");
  EXPECT_EQ(
      Fault(tool(absl::StrCat(R"({"name":"f","parameters":{"description":")", std::string(256 << 10, 'x'), "\"}}"))),
      "tools");

  EXPECT_EQ(Fault(WithTools(R"("tool_choice":"any")")), "tool_choice");
  EXPECT_EQ(Fault(WithTools(R"("tool_choice":7)")), "tool_choice");
  EXPECT_EQ(Fault(WithTools(R"("tool_choice":{})")), "tool_choice.type");
  EXPECT_EQ(Fault(WithTools(R"("tool_choice":{"type":"allowed_tools"})")), "tool_choice.type");
  EXPECT_EQ(Fault(WithTools(R"("tool_choice":{"type":"function"})")), "tool_choice.function");
  EXPECT_EQ(Fault(WithTools(R"("tool_choice":{"type":"function","function":{"name":"h"}})")),
            "tool_choice.function.name");
  EXPECT_EQ(Fault(Chat(R"("tool_choice":"required")")), "tool_choice");
  EXPECT_EQ(Fault(Chat(R"("tools":[],"tool_choice":{"type":"function","function":{"name":"f"}})")), "tool_choice");
  EXPECT_EQ(Fault(WithTools(R"("parallel_tool_calls":1)")), "parallel_tool_calls");
  EXPECT_EQ(Fault(WithTools(R"("response_format":{"type":"json_object"})")), "response_format");
  // Names that nobody knows are counted, or refused.
  const std::string odd = Chat(R"("tools":[{"type":"function","x":1,"function":{"name":"f","y":2}}])");
  EXPECT_EQ(ParseOpenAiRequest(odd, kChatRoute, false)->num_unknown, 2);
  EXPECT_EQ(ErrorParam(ParseOpenAiRequest(odd, kChatRoute, true).status()), "tools[0].x");
}

TEST(OutputForm, ReadsResponseFormat) {
  const auto format = [](std::string_view value) { return absl::StrCat(R"("response_format":)", ToAbsl(value)); };
  EXPECT_EQ(Parse(Chat(format(R"({"type":"text"})"))).form.kind, OutputForm::kAny);
  EXPECT_EQ(Parse(Chat(format(R"({"type":"json_object"})"))).form.kind, OutputForm::kJsonObject);
  const std::string schema =
      format(R"({"type":"json_schema","json_schema":{"name":"s","strict":true,"schema":{"type":"object","x":2.0}}})");
  ValidRequest request = Parse(Chat(schema));
  EXPECT_EQ(request.form.kind, OutputForm::kJsonSchema);
  EXPECT_EQ(request.form.json_schema, R"({"type":"object","x":2E0})");
  EXPECT_EQ(request.form.field, "response_format.json_schema.schema");
  request = Parse(absl::StrCat(R"({"model":"tiny","prompt":"x",)", schema, "}"), kCompletionsRoute);
  EXPECT_EQ(request.form.kind, OutputForm::kJsonSchema);

  const auto fault = [&](std::string_view value) { return Fault(Chat(format(value))); };
  const std::string in = "response_format.json_schema";
  EXPECT_EQ(fault(R"("json")"), "response_format");
  EXPECT_EQ(fault("{}"), "response_format.type");
  EXPECT_EQ(fault(R"({"type":"structural_tag"})"), "response_format.type");
  EXPECT_EQ(fault(R"({"type":"json_object","json_schema":{}})"), in);
  EXPECT_EQ(fault(R"({"type":"json_schema"})"), in);
  EXPECT_EQ(fault(R"({"type":"json_schema","json_schema":[]})"), in);
  EXPECT_EQ(fault(R"({"type":"json_schema","json_schema":{"schema":{}}})"), in + ".name");
  EXPECT_EQ(fault(R"({"type":"json_schema","json_schema":{"name":"a b","schema":{}}})"), in + ".name");
  EXPECT_EQ(fault(R"({"type":"json_schema","json_schema":{"name":"s"}})"), in + ".schema");
  EXPECT_EQ(fault(R"({"type":"json_schema","json_schema":{"name":"s","schema":"{}"}})"), in + ".schema");
  EXPECT_EQ(fault(R"({"type":"json_schema","json_schema":{"name":"s","schema":{},"strict":1}})"), in + ".strict");
  EXPECT_EQ(fault(absl::StrCat(R"({"type":"json_schema","json_schema":{"name":"s","schema":{"title":")",
                               std::string(256 << 10, 'x'), "\"}}}")),
            in + ".schema");
}

}  // namespace
}  // namespace swiftlet
