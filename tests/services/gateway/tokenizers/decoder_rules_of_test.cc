#include "services/gateway/tokenizers/decoder_rules_of.h"

#include <gtest/gtest.h>

#include "services/gateway/generation/resolve_request.h"
#include "services/gateway/model_directory.h"
#include "tests/services/gateway/toy_model.h"

namespace swiftlet {
namespace {

v1::DecoderRules Rules(v1::DecoderRules::Kind kind, v1::DecoderRules::LeadingSpace leading_space) {
  v1::DecoderRules rules;
  rules.set_kind(kind);
  rules.set_leading_space(leading_space);
  return rules;
}

TEST(DecoderRulesOf, EveryRuleHasItsOwn) {
  using Kind = DecoderRules::Kind;
  using LeadingSpace = DecoderRules::LeadingSpace;
  const std::pair<v1::DecoderRules::Kind, Kind> kinds[] = {{v1::DecoderRules::KIND_BYTE_LEVEL, Kind::kByteLevel},
                                                           {v1::DecoderRules::KIND_METASPACE, Kind::kMetaspace}};
  const std::pair<v1::DecoderRules::LeadingSpace, LeadingSpace> spaces[] = {
      {v1::DecoderRules::LEADING_SPACE_KEEP, LeadingSpace::kKeep},
      {v1::DecoderRules::LEADING_SPACE_STRIP_ONE, LeadingSpace::kStripOne},
      {v1::DecoderRules::LEADING_SPACE_STRIP_FIRST_TOKEN, LeadingSpace::kStripFirstToken},
      {v1::DecoderRules::LEADING_SPACE_STRIP_EACH_TOKEN, LeadingSpace::kStripEachToken}};
  for (const auto& [sent_kind, kind] : kinds) {
    for (const auto& [sent_space, space] : spaces) {
      const auto rules = DecoderRulesOf(Rules(sent_kind, sent_space));
      ASSERT_TRUE(rules.has_value());
      EXPECT_EQ(rules->kind, kind);
      EXPECT_EQ(rules->leading_space, space);
    }
  }
}

TEST(DecoderRulesOf, MissingAndNewerRulesAreNotGuessed) {
  EXPECT_FALSE(DecoderRulesOf({}).has_value());
  EXPECT_FALSE(
      DecoderRulesOf(Rules(static_cast<v1::DecoderRules::Kind>(77), v1::DecoderRules::LEADING_SPACE_KEEP)).has_value());
  EXPECT_FALSE(
      DecoderRulesOf(Rules(v1::DecoderRules::KIND_METASPACE, v1::DecoderRules::LEADING_SPACE_UNSPECIFIED)).has_value());
}

TEST(DecoderRulesOf, ModelWithUnknownRulesIsNotReady) {
  ModelDirectory directory;
  directory.SetWorkers({toy::Hello("worker").model()});
  v1::TokenizedModel model = toy::Tokenized();
  directory.SetTokenizers({{model, toy::MakeVocabulary()}});
  EXPECT_TRUE(directory.Find(toy::kName)->ready);
  model.clear_decoder();
  directory.SetTokenizers({{model, toy::MakeVocabulary()}});
  EXPECT_FALSE(directory.Find(toy::kName)->ready);
  EXPECT_NE(directory.Find(toy::kName)->problem.find("rules"), std::string::npos);
}

// The same two words after the same messages: a chat continues its prompt like a completion.
TEST(DecoderRulesOf, GeneratedTextContinuesThePrompt) {
  ModelDirectory directory;
  directory.SetWorkers({toy::Hello("worker").model()});
  v1::TokenizedModel tokenized = toy::Tokenized();
  *tokenized.mutable_decoder() =
      Rules(v1::DecoderRules::KIND_METASPACE, v1::DecoderRules::LEADING_SPACE_STRIP_FIRST_TOKEN);
  directory.SetTokenizers({{tokenized, toy::MakeVocabulary()}});
  const auto model = directory.Find(toy::kName);
  const auto answer = [&](const ValidRequest& request, const std::vector<int32_t>& prompt) {
    const auto submit = ResolveSubmit(request, *model, prompt, 0);
    EXPECT_TRUE(submit.ok()) << submit.status();
    ChoiceDecoder decoder(
        std::make_shared<const DecodingPlan>(model->vocabulary, ResolveDecoding(request, *model, *submit, {})));
    std::string reasoning;
    std::string text;
    decoder.Push(std::vector<int32_t>{toy::kFirstWord, toy::kFirstWord}, reasoning, text);
    decoder.Finish(reasoning, text);
    return text;
  };
  ValidRequest chat;
  chat.input = ChatInput{};
  ValidRequest completion;
  completion.input = TextInput{"x"};
  for (ValidRequest* request : {&chat, &completion}) {
    request->split_reasoning = false;
    EXPECT_EQ(answer(*request, {toy::kEos, 'x'}), " the the");
    EXPECT_EQ(answer(*request, {toy::kEos}), "the the");
  }
}

}  // namespace
}  // namespace swiftlet
