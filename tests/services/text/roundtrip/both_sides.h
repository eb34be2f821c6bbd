// One vocabulary on both sides of the wire, and the gateway's decoding of ids in pieces.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "services/text/decode/choice_decoder.h"
#include "services/text/encode/token_vocabulary.h"
#include "services/text/encode/unicode.h"
#include "tests/services/text/decode/every_split.h"

namespace swiftlet {

inline DecoderRules GatewayRules(const JoinRules& rules) {
  DecoderRules join;
  join.kind =
      rules.kind == JoinRules::Kind::kByteLevel ? DecoderRules::Kind::kByteLevel : DecoderRules::Kind::kMetaspace;
  switch (rules.leading_space) {
    case JoinRules::LeadingSpace::kKeep:
      join.leading_space = DecoderRules::LeadingSpace::kKeep;
      break;
    case JoinRules::LeadingSpace::kStripOne:
      join.leading_space = DecoderRules::LeadingSpace::kStripOne;
      break;
    case JoinRules::LeadingSpace::kStripFirstToken:
      join.leading_space = DecoderRules::LeadingSpace::kStripFirstToken;
      break;
    case JoinRules::LeadingSpace::kStripEachToken:
      join.leading_space = DecoderRules::LeadingSpace::kStripEachToken;
      break;
  }
  return join;
}

inline std::shared_ptr<const Vocabulary> GatewayVocabulary(const TokenVocabulary& tokens) {
  auto vocabulary = std::make_shared<Vocabulary>();
  for (int32_t id = 0; id < tokens.size(); ++id) {
    const TokenEntry entry = tokens.Token(id);
    EXPECT_TRUE(vocabulary->Append(entry.bytes).ok());
    EXPECT_TRUE(!entry.is_special || vocabulary->MarkSpecial(id).ok());
    EXPECT_TRUE(!entry.is_byte_fallback || vocabulary->MarkByteFallback(id).ok());
  }
  return vocabulary;
}

// The same tokens as the tokenizer and as the gateway have them.
struct BothSides {
  explicit BothSides(const TokenVocabulary& tokens)
      : tokens(tokens), vocabulary(GatewayVocabulary(tokens)), join(GatewayRules(tokens.rules())) {}

  // What a choice that continues `prompt` reads, its ids coming in pieces that end at `ends`. Every piece is whole
  // characters.
  std::string InPieces(std::span<const int32_t> prompt, std::span<const int32_t> ids,
                       const std::vector<size_t>& ends) const {
    const auto plan =
        std::make_shared<const DecodingPlan>(vocabulary, DecodingPlan::Options{.join = join, .prompt_ids = prompt});
    ChoiceDecoder decoder(plan);
    std::string reasoning;
    std::string text;
    size_t begin = 0;
    for (const size_t end : ends) {
      EXPECT_EQ(decoder.Push(ids.subspan(begin, end - begin), reasoning, text), end - begin);
      EXPECT_TRUE(IsValidUtf8(text)) << "a character was split";
      begin = end;
    }
    EXPECT_FALSE(decoder.Finish(reasoning, text));
    EXPECT_EQ(reasoning, "");
    return text;
  }

  // The ids as the start of a text, cut in every way while they are few and in some ways else.
  void ExpectSameText(const std::vector<int32_t>& ids, std::mt19937& random) const {
    const std::string whole = tokens.Decode(ids, true);
    const auto check = [&](const std::vector<size_t>& ends) { ASSERT_EQ(InPieces({}, ids, ends), whole); };
    constexpr size_t kFew = 7;
    if (!ids.empty() && ids.size() <= kFew) return ForEveryCut(ids.size(), check);
    check({ids.size()});
    std::vector<size_t> singly;
    for (size_t i = 1; i <= ids.size(); ++i) singly.push_back(i);
    check(singly);
    check(RandomCut(ids.size(), random));
  }

  const TokenVocabulary& tokens;
  const std::shared_ptr<const Vocabulary> vocabulary;
  const DecoderRules join;
};

}  // namespace swiftlet
