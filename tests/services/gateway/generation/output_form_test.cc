// Answers of a form: grammars and calls of tools, from the request to the worker and back.
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "services/common/errors.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;

ValidRequest ToolRequest(uint64_t seed) {
  ValidRequest request = ChatRequest("hi", 400, seed);
  std::get<ChatInput>(request.input).tools = "[{}]";
  request.form.kind = OutputForm::kToolCalls;
  request.form.tools = {{"f", ""}, {"g", R"({"type":"object"})"}};
  request.form.field = "tools";
  return request;
}

TEST(Generation, CallsOfToolsAreTakenOutOfTheAnswer) {
  ToyGateway gateway(1, 1);
  ValidRequest request = ToolRequest(1);
  request.num_choices = 3;
  gateway.workers_wire.script = [](const v1::Submit&, int32_t choice) -> std::string {
    if (choice == 1) return "No <tool> needed.";
    return absl::StrCat(
        "<think>\nwhy\n</think>\n\nLet me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"é", choice,
        "\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>");
  };
  const auto answer = gateway.Ask(request);
  ASSERT_TRUE(answer->status.ok()) << answer->status;
  ASSERT_EQ(answer->choices.size(), 3u);
  std::set<std::string> ids;
  for (const int32_t index : {0, 2}) {
    const Answer::Choice& choice = answer->choices[index];
    EXPECT_EQ(choice.reasoning, "why");
    EXPECT_EQ(choice.text, "Let me see.");
    EXPECT_EQ(choice.reason, v1::FINISH_REASON_TOOL_CALLS);
    ASSERT_EQ(choice.tool_calls.size(), 2u);
    EXPECT_EQ(choice.tool_calls[0].name, "f");
    EXPECT_EQ(choice.tool_calls[0].arguments, absl::StrCat("{\"a\": \"é", index, "\"}"));
    EXPECT_EQ(choice.tool_calls[1].name, "g");
    EXPECT_EQ(choice.tool_calls[1].arguments, "{}");
    for (const ToolCallPiece& call : choice.tool_calls) {
      EXPECT_EQ(call.id.size(), std::string_view("call_0123456789abcdef").size());
      ids.insert(call.id);
    }
  }
  EXPECT_EQ(ids.size(), 4u) << "ids differ";
  EXPECT_EQ(answer->choices[1].text, "No <tool> needed.");
  EXPECT_EQ(answer->choices[1].reason, v1::FINISH_REASON_STOP);
  EXPECT_THAT(gateway.observer.records.at(0).finish_reasons,
              ElementsAre(v1::FINISH_REASON_TOOL_CALLS, v1::FINISH_REASON_STOP, v1::FINISH_REASON_TOOL_CALLS));

  // What the worker was told.
  const v1::Submit& submit = gateway.workers_wire.seen().back();
  const v1::ToolCallGrammar& grammar = submit.grammar().tool_calls();
  ASSERT_EQ(grammar.tools_size(), 2);
  EXPECT_EQ(grammar.tools(1).name(), "g");
  EXPECT_EQ(grammar.tools(1).schema(), R"({"type":"object"})");
  EXPECT_FALSE(grammar.required());
  EXPECT_TRUE(grammar.several());
  EXPECT_EQ(grammar.begin(), "<tool_call>\n");
  EXPECT_EQ(grammar.end(), "\n</tool_call>");
  EXPECT_EQ(grammar.separator(), "\n");
  EXPECT_TRUE(submit.grammar().after_reasoning());
  EXPECT_EQ(submit.reasoning().close_tag(), "</think>");
  EXPECT_THAT(submit.reasoning().close_ids(), ElementsAre(toy::kCloseTag));
  EXPECT_THAT(submit.reasoning().open_ids(), ElementsAre(toy::kOpenTag));
  EXPECT_FALSE(submit.reasoning().has_budget_tokens());
  gateway.ExpectIdle();
}

// A stop string ends the answer before the parser is asked; what is cut off ends as it is cut.
TEST(Generation, CallsThatAreCutOffEndAsTheyAre) {
  ToyGateway gateway(1, 1);
  gateway.workers_wire.script = [](const v1::Submit&, int32_t) {
    return "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"xyz\"}}\n</tool_call>";
  };
  ValidRequest request = ToolRequest(1);
  request.stop.add_stop("y");
  auto answer = gateway.Ask(request);
  ASSERT_EQ(answer->choices.at(0).tool_calls.size(), 1u);
  EXPECT_EQ(answer->choices[0].tool_calls[0].arguments, "{\"a\": \"x");
  EXPECT_EQ(answer->choices[0].reason, v1::FINISH_REASON_STOP);
  request = ToolRequest(1);
  request.stop.set_max_tokens(20);
  answer = gateway.Ask(request);
  EXPECT_EQ(answer->choices.at(0).text, "<tool_call>\n{\"name\":");
  EXPECT_EQ(answer->choices[0].reason, v1::FINISH_REASON_LENGTH);
  EXPECT_TRUE(answer->choices[0].tool_calls.empty());
}

TEST(Generation, ToolsNeedAFormatThatIsKnown) {
  ToyGateway gateway(1, 1);
  gateway.tokenizers_wire.tool_format = v1::TokenizedModel::TOOL_FORMAT_UNSPECIFIED;
  gateway.RunFor(10'000'000);
  const auto answer = gateway.Ask(ToolRequest(1));
  EXPECT_EQ(answer->status.code(), absl::StatusCode::kInvalidArgument) << answer->status;
  EXPECT_EQ(ErrorParam(answer->status), "tools");
  gateway.ExpectIdle();
}

TEST(Generation, LlamaWritesOneCallWithoutTags) {
  ToyGateway gateway(1, 1);
  gateway.tokenizers_wire.tool_format = v1::TokenizedModel::TOOL_FORMAT_LLAMA3;
  gateway.RunFor(10'000'000);
  gateway.workers_wire.script = [](const v1::Submit&, int32_t) { return R"({"name": "f", "parameters": {"a": 1}})"; };
  ValidRequest request = ToolRequest(1);
  request.form.calls_required = true;
  const auto answer = gateway.Ask(request);
  ASSERT_TRUE(answer->status.ok()) << answer->status;
  ASSERT_EQ(answer->choices.at(0).tool_calls.size(), 1u);
  EXPECT_EQ(answer->choices[0].tool_calls[0].arguments, R"({"a": 1})");
  EXPECT_EQ(answer->choices[0].reason, v1::FINISH_REASON_TOOL_CALLS);
  const v1::ToolCallGrammar& grammar = gateway.workers_wire.seen().back().grammar().tool_calls();
  EXPECT_TRUE(grammar.required());
  EXPECT_FALSE(grammar.several());
  EXPECT_EQ(grammar.begin() + grammar.end(), "");
  EXPECT_EQ(grammar.arguments_key(), "parameters");
}

TEST(Generation, WorkerIsToldOfFormAndThinking) {
  ToyGateway gateway(1, 1);
  const auto submitted = [&](const ValidRequest& request) {
    EXPECT_TRUE(gateway.Ask(request)->status.ok());
    return gateway.workers_wire.seen().back();
  };
  EXPECT_FALSE(submitted(ChatRequest("hi", 5, 1)).has_grammar());
  EXPECT_FALSE(submitted(ChatRequest("hi", 5, 1)).has_reasoning());
  ValidRequest request = ChatRequest("hi", 5, 1);
  request.thinking_token_budget = 0;
  EXPECT_TRUE(submitted(request).reasoning().has_budget_tokens());
  EXPECT_EQ(submitted(request).reasoning().budget_tokens(), 0);
  EXPECT_FALSE(submitted(request).has_grammar());
  gateway.tokenizers_wire.starts_in_reasoning = true;
  request.thinking_token_budget = 7;
  request.form.kind = OutputForm::kJsonSchema;
  request.form.json_schema = "{}";
  request.form.field = "response_format";
  v1::Submit submit = submitted(request);
  EXPECT_EQ(submit.reasoning().budget_tokens(), 7);
  EXPECT_EQ(submit.reasoning().open_ids_size(), 0) << "it is open already";
  EXPECT_TRUE(submit.grammar().after_reasoning());
  EXPECT_EQ(submit.grammar().json_schema(), "{}");
  // A completion has no reasoning apart from its text.
  ValidRequest completion = TokenRequest({1, 2}, 5, 1);
  completion.form.kind = OutputForm::kJsonObject;
  submit = submitted(completion);
  EXPECT_TRUE(submit.grammar().json_object());
  EXPECT_FALSE(submit.grammar().after_reasoning());
  EXPECT_FALSE(submit.has_reasoning());

  gateway.workers_wire.grammar_error = "#/properties/a: patternProperties is not supported";
  const auto refused = gateway.Ask(request);
  EXPECT_EQ(refused->status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused->status.message(), gateway.workers_wire.grammar_error);
  EXPECT_EQ(ErrorParam(refused->status), "response_format");
  gateway.ExpectIdle();
}

}  // namespace
}  // namespace swiftlet
