// Structured output at the worker's edge: what a Submit may ask for, the vocabulary over Attach, compiling beside
// everything else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "engine/grammar/grammar_vocabulary.h"
#include "services/model_worker/grammar_parser.h"
#include "tests/services/model_worker/worker_fixture.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int32_t kEndId = 256;

v1::AttachRequest Structured(uint64_t id, const std::string& schema, int32_t choices = 1) {
  v1::AttachRequest request = Gateway::Request(id, choices);
  request.mutable_submit()->mutable_grammar()->set_json_schema(schema);
  return request;
}

// Bytes, and the end: ids [first, last) of 257.
v1::AttachRequest Slice(int32_t first, int32_t last, bool is_last) {
  v1::AttachRequest request;
  v1::VocabularySlice& slice = *request.mutable_vocabulary();
  slice.set_first_id(first);
  for (int32_t id = first; id < last; ++id) slice.add_tokens(id < 256 ? std::string(1, static_cast<char>(id)) : "");
  slice.set_last(is_last);
  if (is_last) slice.add_end_ids(kEndId);
  return request;
}

class GrammarServiceTest : public ModelServiceTest {
 protected:
  // Past heartbeats.
  static void AwaitVocabularyRequest(Gateway& gateway) {
    v1::AttachResponse response;
    while (gateway.Read(response) && !response.has_vocabulary_request()) {
    }
    EXPECT_TRUE(response.has_vocabulary_request());
  }
  void GiveVocabulary(Gateway& gateway) {
    gateway.Write(Structured(1000, "true"));
    AwaitVocabularyRequest(gateway);
    gateway.Write(Slice(0, 257, true));
    (void)engine_.Await(1000);
  }
};

TEST_F(GrammarServiceTest, TheVocabularyIsAskedForOnceAndOthersGoAhead) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Write(Structured(1, R"({"type":"integer"})", 2));
  AwaitVocabularyRequest(gateway);
  gateway.Submit(2);
  EXPECT_EQ(engine_.Await(2).request.grammar, nullptr) << "no grammar, no wait";
  gateway.Write(Structured(3, R"({"type":"integer"})"));
  gateway.Write(Slice(0, 100, false));
  gateway.Write(Slice(100, 257, true));
  const FakeEngine::Submitted first = engine_.Await(1), second = engine_.Await(3);
  ASSERT_NE(first.request.grammar, nullptr);
  EXPECT_EQ(first.request.num_choices, 2);
  EXPECT_EQ(first.request.grammar, second.request.grammar) << "one text, one grammar";
  EXPECT_EQ(first.request.grammar->vocabulary().width(), 1000u);
  EXPECT_THAT(first.request.grammar->vocabulary().end_ids(), ElementsAre(kEndId));
  EXPECT_EQ(grammars_.cached_grammars(), 1u);
  first.sink->OnStep({Token(1, 0, '7')});
  EXPECT_THAT(gateway.ReadIds(), ElementsAre('7'));
  // Another gateway is not asked.
  Gateway other(*stub_);
  other.Attach();
  other.Write(Structured(5, "{}"));
  (void)engine_.Await(5);
  EXPECT_EQ(state_.Load().token_credit(), (1000 - 3) / 2);
}

TEST_F(GrammarServiceTest, WhatCannotBeCompiledEndsAllChoicesBeforeAnything) {
  Gateway gateway(*stub_);
  gateway.Attach();
  GiveVocabulary(gateway);
  v1::AttachRequest request = Structured(1, R"({"properties":{"a":{"not":{}}}})", 2);
  v1::ResumedChoice& resumed = *request.mutable_submit()->add_resumed();
  resumed.set_choice(1);
  resumed.add_ids(5);
  gateway.Write(request);
  const v1::StepOutputs outputs = gateway.ReadOutputs();
  ASSERT_EQ(outputs.outputs_size(), 2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(outputs.outputs(i).finish_reason(), v1::FINISH_REASON_ERROR);
    EXPECT_EQ(outputs.outputs(i).status_code(), 3);
    EXPECT_EQ(outputs.outputs(i).first_index(), i);
    EXPECT_THAT(outputs.outputs(i).status_message(), HasSubstr("#/properties/a/not"));
  }
  EXPECT_EQ(state_.Load().token_credit(), 999) << "of request 1000 alone";
}

TEST_F(GrammarServiceTest, CancelFindsARequestThatIsBeingCompiled) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Write(Structured(1, "true"));
  AwaitVocabularyRequest(gateway);
  gateway.Cancel(1);
  gateway.Write(Slice(0, 257, true));
  const v1::StepOutputs outputs = gateway.ReadOutputs();
  ASSERT_EQ(outputs.outputs_size(), 1);
  EXPECT_EQ(outputs.outputs(0).finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(state_.Load().token_credit(), 1000);
  gateway.Submit(1);  // the id is free again
  (void)engine_.Await(1);
}

TEST_F(GrammarServiceTest, EndOfStreamWhileCompilingSubmitsNothing) {
  {
    Gateway gateway(*stub_);
    gateway.Attach();
    gateway.Write(Structured(1, "true"));
    AwaitVocabularyRequest(gateway);
    gateway.HangUp();
  }
  for (int i = 0; i < 500 && state_.Load().token_credit() < 1000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Write(Structured(2, "true"));
  AwaitVocabularyRequest(gateway);
  gateway.Write(Slice(0, 257, true));
  (void)engine_.Await(2);
  gateway.HangUp();
  EXPECT_TRUE(engine_.AwaitEmpty()) << "request 1 never came";
}

TEST_F(GrammarServiceTest, DeadlinesRunWhileCompiling) {
  Gateway gateway(*stub_);
  gateway.Attach();
  v1::AttachRequest request = Structured(1, "true");
  request.mutable_submit()->set_timeout_us(1000);
  gateway.Write(request);
  AwaitVocabularyRequest(gateway);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  gateway.Write(Slice(0, 257, true));
  EXPECT_EQ(gateway.ReadOutputs().outputs(0).finish_reason(), v1::FINISH_REASON_DEADLINE);
  request = Structured(2, "true");
  request.mutable_submit()->set_timeout_us(60'000'000);
  gateway.Write(request);
  EXPECT_LE(*engine_.Await(2).request.timeout_us, 60'000'000);
}

TEST_F(GrammarServiceTest, WithoutAVocabularyGrammarsAreUnavailableAndFewWait) {
  Gateway gateway(*stub_);
  gateway.Attach();
  for (uint64_t id = 1; id <= 9; ++id) gateway.Write(Structured(id, "true"));
  const v1::StepOutputs ninth = gateway.ReadOutputs();
  EXPECT_EQ(ninth.outputs(0).request_id(), 9u);
  EXPECT_EQ(ninth.outputs(0).status_code(), 8) << "eight wait";
  const v1::StepOutputs first = gateway.ReadOutputs();
  EXPECT_EQ(first.outputs(0).request_id(), 1u);
  EXPECT_EQ(first.outputs(0).status_code(), 14);
}

TEST_F(GrammarServiceTest, StopEndsWhatWaitsUnavailable) {
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Write(Structured(1, "true"));
  AwaitVocabularyRequest(gateway);
  grammars_.Stop();
  EXPECT_EQ(gateway.ReadOutputs().outputs(0).status_code(), 14);
  gateway.Write(Structured(2, "true"));
  EXPECT_EQ(gateway.ReadOutputs().outputs(0).status_code(), 14);
}

TEST_F(GrammarServiceTest, BadSlicesEndTheStream) {
  const auto refused = [&](bool asked, const v1::AttachRequest& slice, const char* what) {
    Gateway gateway(*stub_);
    gateway.Attach();
    if (asked) {
      gateway.Write(Structured(1, "true"));
      AwaitVocabularyRequest(gateway);
    }
    gateway.Write(slice);
    const absl::Status status = gateway.Finish();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(what));
  };
  refused(false, Slice(0, 257, true), "nobody asked");
  refused(true, Slice(1, 257, true), "id 1 came after 0");
  refused(true, Slice(-1, 257, true), "id -1");
  refused(true, Slice(0, 1001, false), "wider than the logits");
  v1::AttachRequest foreign = Slice(0, 10, true);
  foreign.mutable_vocabulary()->set_tokenizer_hash("x");
  refused(true, foreign, "another tokenizer");
  // One that cannot be used is no reason to end the stream, but no grammar can be had from it.
  Gateway gateway(*stub_);
  gateway.Attach();
  gateway.Write(Structured(1, "true"));
  AwaitVocabularyRequest(gateway);
  v1::AttachRequest bad = Slice(0, 10, true);
  bad.mutable_vocabulary()->add_end_ids(5000);
  gateway.Write(bad);
  const v1::StepOutputs outputs = gateway.ReadOutputs();
  EXPECT_EQ(outputs.outputs(0).status_code(), 13);
  EXPECT_THAT(outputs.outputs(0).status_message(), HasSubstr("5000"));
}

// ---- the parser

v1::Submit Tools() {
  v1::Submit submit;
  v1::ToolCallGrammar& tools = *submit.mutable_grammar()->mutable_tool_calls();
  tools.add_tools()->set_name("f");
  tools.mutable_tools(0)->set_schema(R"({"type":"object"})");
  tools.set_begin("<t>");
  tools.set_arguments_key("parameters");
  submit.mutable_grammar()->set_after_reasoning(true);
  submit.mutable_reasoning()->set_close_tag("</think>");
  submit.mutable_reasoning()->add_close_ids(7);
  submit.mutable_reasoning()->set_open_tag("<think>");
  submit.mutable_reasoning()->add_open_ids(6);
  submit.mutable_reasoning()->set_budget_tokens(100);
  return submit;
}

TEST(GrammarParser, KeepsEveryField) {
  const auto spec = ParseGrammar(Tools());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ((*spec)->kind, GrammarSpec::Kind::kTools);
  EXPECT_EQ((*spec)->starts_after, "</think>");
  EXPECT_EQ((*spec)->opened_by, "<think>");
  EXPECT_EQ((*spec)->tools.tools[0].schema, R"({"type":"object"})");
  EXPECT_EQ((*spec)->tools.name_key, "name");
  EXPECT_EQ((*spec)->tools.arguments_key, "parameters");
  EXPECT_FALSE((*spec)->tools.is_required);
  EXPECT_FALSE((*spec)->tools.allows_several);
  const auto budget = ParseReasoning(Tools(), 1000);
  ASSERT_TRUE(budget.ok()) << budget.status();
  EXPECT_EQ((*budget)->tokens, 100);
  EXPECT_THAT((*budget)->close_ids, ElementsAre(7));
  EXPECT_THAT((*budget)->open_ids, ElementsAre(6));
  EXPECT_FALSE(ParseGrammar({})->has_value());
  EXPECT_FALSE(ParseReasoning({}, 1000)->has_value());
}

TEST(GrammarParser, BadFieldsAreNamed) {
  const auto refused = [](const char* what, const std::function<void(v1::Submit&)>& spoil) {
    v1::Submit submit = Tools();
    spoil(submit);
    absl::Status status = ParseGrammar(submit).status();
    if (status.ok()) status = ParseReasoning(submit, 1000).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << what << ": " << status;
    EXPECT_THAT(status.ToString(), HasSubstr(what));
  };
  const auto tools = [](v1::Submit& submit) -> v1::ToolCallGrammar& {
    return *submit.mutable_grammar()->mutable_tool_calls();
  };
  refused("no form", [](v1::Submit& s) { s.mutable_grammar()->clear_form(); });
  refused("json_object is false", [](v1::Submit& s) { s.mutable_grammar()->set_json_object(false); });
  refused("grammar.json_schema has 300000 bytes",
          [](v1::Submit& s) { s.mutable_grammar()->set_json_schema(std::string(300'000, ' ')); });
  refused("there are 0 tools", [&](v1::Submit& s) { tools(s).clear_tools(); });
  refused("there are 129 tools", [&](v1::Submit& s) {
    for (int i = 0; i < 128; ++i) tools(s).add_tools()->set_name(std::to_string(i));
  });
  refused("tools[0] has no name", [&](v1::Submit& s) { tools(s).mutable_tools(0)->clear_name(); });
  refused("tools[0].name has 65 bytes",
          [&](v1::Submit& s) { tools(s).mutable_tools(0)->set_name(std::string(65, 'x')); });
  refused("the tools' schemas have 300000 bytes",
          [&](v1::Submit& s) { tools(s).mutable_tools(0)->set_schema(std::string(300'000, ' ')); });
  refused("grammar.tool_calls has 65 bytes", [&](v1::Submit& s) { tools(s).set_separator(std::string(65, 'x')); });
  refused("close_tag is empty", [](v1::Submit& s) { s.mutable_reasoning()->clear_close_tag(); });
  refused("close_tag is empty", [](v1::Submit& s) { s.clear_reasoning(); });
  refused("reasoning.close_tag has 65 bytes",
          [](v1::Submit& s) { s.mutable_reasoning()->set_close_tag(std::string(65, 'x')); });
  refused("reasoning.close_ids names token 1000", [](v1::Submit& s) { s.mutable_reasoning()->add_close_ids(1000); });
  refused("reasoning.open_ids names token -1", [](v1::Submit& s) { s.mutable_reasoning()->add_open_ids(-1); });
  refused("reasoning.close_ids has 17 entries", [](v1::Submit& s) {
    for (int i = 0; i < 16; ++i) s.mutable_reasoning()->add_close_ids(1);
  });
  refused("reasoning.close_ids is empty", [](v1::Submit& s) { s.mutable_reasoning()->clear_close_ids(); });
  refused("reasoning.budget_tokens is -1", [](v1::Submit& s) { s.mutable_reasoning()->set_budget_tokens(-1); });
}

}  // namespace
}  // namespace swiftlet
