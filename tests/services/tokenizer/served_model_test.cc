#include "services/tokenizer/served_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/services/tokenizer/tiny_model.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

TEST(ModelSpecs, NameComesFromFlagPrefixOrFolder) {
  const auto specs = ParseModelSpecs({"/models/Tiny-1B/", "other=/models/b"}, {});
  ASSERT_TRUE(specs.ok()) << specs.status();
  EXPECT_EQ((*specs)[0].name, "Tiny-1B");
  EXPECT_EQ((*specs)[0].directory, "/models/Tiny-1B");
  EXPECT_EQ((*specs)[1].name, "other");
  EXPECT_EQ((*specs)[1].directory, "/models/b");
  const auto named = ParseModelSpecs({"/models/a=b/c"}, {"served"});
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ((*named)[0].name, "served");
  EXPECT_EQ((*named)[0].directory, "/models/a=b/c");
}

TEST(ModelSpecs, EqualNamesAndWrongCountsAreRefused) {
  EXPECT_THAT(Message(ParseModelSpecs({"/x/a", "/y/a"}, {}).status()), HasSubstr("'a'"));
  EXPECT_THAT(Message(ParseModelSpecs({"/x/a"}, {"p", "q"}).status()), HasSubstr("--served-model-name"));
}

TEST(ServedModel, InfoTellsWhatTheDirectorySays) {
  const auto model = LoadServedModel({"tiny", tests::WriteTinyModel("info")});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->info.name(), "tiny");
  EXPECT_EQ(model->info.vocabulary_size(), 260);
  EXPECT_EQ(model->info.tokenizer_hash().size(), 64u);
  EXPECT_EQ(model->info.template_hash().size(), 64u);
  EXPECT_THAT(model->info.eos_token_ids(), ElementsAre(257, 259));
  EXPECT_FLOAT_EQ(model->info.defaults().temperature(), 0.6f);
  EXPECT_FALSE(model->info.defaults().has_top_k());
  EXPECT_EQ(model->info.reasoning_open_tag(), "<think>");
  EXPECT_EQ(model->info.reasoning_close_tag(), "</think>");
  EXPECT_THAT(model->info.reasoning_open_ids(), ElementsAre(258));
  EXPECT_THAT(model->info.reasoning_close_ids(), ElementsAre(259));
  EXPECT_EQ(model->info.tool_format(), v1::TokenizedModel::TOOL_FORMAT_UNSPECIFIED);
  EXPECT_THAT(model->info.template_variables(), ElementsAre("think"));
  ASSERT_EQ(model->vocabulary.size(), 1u);
  EXPECT_EQ(model->vocabulary[0].tokens_size(), 260);
  EXPECT_EQ(model->vocabulary[0].tokens('a'), "a");
  EXPECT_THAT(model->vocabulary[0].special_ids(), ElementsAre(256, 257));
  EXPECT_THAT(model->vocabulary[0].byte_fallback_ids(), ElementsAre());
  EXPECT_EQ(model->info.decoder().kind(), v1::DecoderRules::KIND_BYTE_LEVEL);
  EXPECT_EQ(model->info.decoder().leading_space(), v1::DecoderRules::LEADING_SPACE_KEEP);
}

TEST(ServedModel, InfoTellsHowTokensJoin) {
  const std::string directory = tests::WriteTinyModel("metaspace");
  const auto load = [&](const std::string& decoders) {
    tests::WriteFile(directory + "/tokenizer.json",
                     R"({"added_tokens":[{"id":0,"content":"<unk>","special":true}],"normalizer":null,
        "pre_tokenizer":null,"decoder":{"type":"Sequence","decoders":[)" +
                         decoders + R"(]},"model":{"type":"BPE","unk_token":"<unk>","byte_fallback":true,
        "vocab":{"<unk>":0,"<0xC3>":1,"<0xA9>":2,"▁":3,"a":4},"merges":[]}})");
    auto model = LoadServedModel({"tiny", directory});
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  };
  tests::WriteFile(directory + "/tokenizer_config.json", "{}");
  const std::string common = R"({"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"})";
  const ServedModel llama = load(common + R"(,{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0})");
  EXPECT_EQ(llama.info.decoder().kind(), v1::DecoderRules::KIND_METASPACE);
  EXPECT_EQ(llama.info.decoder().leading_space(), v1::DecoderRules::LEADING_SPACE_STRIP_ONE);
  ASSERT_EQ(llama.vocabulary.size(), 1u);
  EXPECT_THAT(llama.vocabulary[0].byte_fallback_ids(), ElementsAre(1, 2));
  EXPECT_THAT(llama.vocabulary[0].tokens(), ElementsAre("<unk>", "\xC3", "\xA9", " ", "a"));
  EXPECT_EQ(load(common).info.decoder().leading_space(), v1::DecoderRules::LEADING_SPACE_KEEP);
  EXPECT_EQ(load(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first"})").info.decoder().leading_space(),
            v1::DecoderRules::LEADING_SPACE_STRIP_FIRST_TOKEN);
}

TEST(ServedModel, GreedyConfigMeansTemperatureZero) {
  const std::string directory = tests::WriteTinyModel("greedy");
  tests::WriteFile(directory + "/generation_config.json", R"({"do_sample": false, "temperature": 0.7})");
  const auto model = LoadServedModel({"tiny", directory});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(model->info.defaults().has_temperature());
  EXPECT_EQ(model->info.defaults().temperature(), 0);
  EXPECT_THAT(model->info.eos_token_ids(), ElementsAre(257));  // from the tokenizer's eos_token
}

TEST(ServedModel, BrokenFilesAreNamed) {
  EXPECT_THAT(Message(LoadServedModel({"x", "/nonexistent/model"}).status()), HasSubstr("/nonexistent/model"));
  std::string directory = tests::WriteTinyModel("broken");
  tests::WriteFile(directory + "/generation_config.json", R"({"temperature": "hot"})");
  EXPECT_THAT(Message(LoadServedModel({"x", directory}).status()), HasSubstr("generation_config.json: temperature"));
  tests::WriteFile(directory + "/generation_config.json", "{}");
  tests::WriteFile(directory + "/chat_template.jinja", "{% if x %}");
  EXPECT_THAT(Message(LoadServedModel({"x", directory}).status()),
              HasSubstr("chat_template.jinja: chat template: line 1"));
  tests::WriteFile(directory + "/chat_template.jinja", "x");
  tests::WriteFile(directory + "/tokenizer.json", "{\"version\":");
  EXPECT_THAT(Message(LoadServedModel({"x", directory}).status()), HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace swiftlet
