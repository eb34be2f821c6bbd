// An engine whose vocabulary is text, and requests for structured answers.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>

#include "tests/engine/grammar/grammar_driver.h"
#include "tests/engine/grammar/random_schemas.h"
#include "tests/engine/runtime/engine_fixture.h"

namespace swiftlet {

using tests::kEnd;

inline constexpr char kRecord[] =
    R"({"type":"object","properties":{"id":{"type":"integer","minimum":0,"maximum":9999},"tags":{"type":"array",)"
    R"("items":{"enum":["a","abc","na"]},"maxItems":3},"ok":{"type":"boolean"}},"required":["id","tags","ok"],)"
    R"("additionalProperties":false})";

class GrammarEngineTest : public EngineTest {
 protected:
  void StartText(EngineConfig config = {}, FakeDecoderOptions options = {}) {
    options.vocab_size = static_cast<int32_t>(vocabulary_->width());
    Start(config, options);
  }
  std::shared_ptr<TokenGrammar> Schema(const std::string& text, const std::string& starts_after = "") {
    return tests::Compile({GrammarSpec::Kind::kJsonSchema, text, starts_after}, vocabulary_);
  }
  // Ends soon: what closes is likelier.
  GenerationRequest Structured(std::shared_ptr<TokenGrammar> grammar, int32_t max_tokens = 400) {
    GenerationRequest request = Request(Prompt(20), max_tokens);
    request.grammar = std::move(grammar);
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary_->width()); ++id) {
      const std::string_view token = vocabulary_->token(id);
      if (id == kEnd || (!token.empty() && std::string_view("\"]}").find(token.back()) != std::string_view::npos)) {
        request.sampling.logit_bias.emplace_back(id, 3.0f);
      }
    }
    return request;
  }
  std::string Text(const std::vector<int32_t>& ids) const {
    std::string text;
    for (const int32_t id : ids) text += vocabulary_->token(id);
    return text;
  }
  // All choices of one request.
  std::vector<CollectedChoice> RunAll(GenerationRequest request) {
    const auto sink = std::make_shared<CollectingSink>();
    const int32_t num_choices = request.num_choices;
    EXPECT_TRUE(engine_->Submit(1, std::move(request), sink).ok());
    sink->WaitForFinishes(num_choices);
    std::vector<CollectedChoice> choices;
    for (int32_t index = 0; index < num_choices; ++index) choices.push_back(sink->choices().at({1, index}));
    return choices;
  }
  void ExpectFits(const CollectedChoice& choice, const std::string& schema) {
    ASSERT_EQ(choice.finish_reason, FinishReason::kStop) << choice.status << " " << Text(choice.ids);
    boost::system::error_code error;
    const auto value = boost::json::parse(Text(choice.ids), error);
    ASSERT_FALSE(error) << Text(choice.ids);
    const auto root = boost::json::parse(schema);
    EXPECT_TRUE(tests::Fits(value, root, root)) << Text(choice.ids) << " for " << schema;
  }

  const std::shared_ptr<const GrammarVocabulary> vocabulary_ = tests::SmallVocabulary();
};

}  // namespace swiftlet
