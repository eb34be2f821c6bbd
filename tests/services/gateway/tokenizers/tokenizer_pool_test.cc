#include "services/gateway/tokenizers/tokenizer_pool.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/gateway/admission/key_account.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

using testing::ElementsAre;

constexpr const char* kFirst = "tokenizer0:8101";
constexpr const char* kSecond = "tokenizer1:8101";

TEST(TokenizerPool, CallThatEndsUnavailableIsTriedOnceElsewhere) {
  ToyGateway gateway(1, 2);
  gateway.tokenizers_wire.processes[kFirst].up = false;
  const auto answer = gateway.Ask(ChatRequest("hello", 5, 1));
  EXPECT_TRUE(answer->status.ok()) << answer->status;
  EXPECT_EQ(gateway.tokenizers_wire.processes[kFirst].encodes, 1);
  EXPECT_EQ(gateway.tokenizers_wire.processes[kSecond].encodes, 1);
  gateway.Ask(ChatRequest("hello", 5, 1));
  EXPECT_EQ(gateway.tokenizers_wire.processes[kFirst].encodes, 1) << "asked again though it is down";
  EXPECT_EQ(gateway.tokenizers.counts().healthy, 1);
  gateway.tokenizers_wire.processes[kFirst].up = true;
  gateway.RunFor(2'000'000);
  EXPECT_EQ(gateway.tokenizers.counts().healthy, 2);
}

TEST(TokenizerPool, WithoutAnyTheRequestEndsUnavailable) {
  ToyGateway gateway(1, 2);
  gateway.tokenizers_wire.processes[kFirst].up = false;
  gateway.tokenizers_wire.processes[kSecond].up = false;
  EXPECT_TRUE(absl::IsUnavailable(gateway.Ask(ChatRequest("hello", 5, 1))->status));
  gateway.RunFor(100'000);
  EXPECT_FALSE(gateway.generator.Models().at(0).ready);
  gateway.ExpectIdle();
}

TEST(TokenizerPool, LeastPendingGetsTheNext) {
  ToyGateway gateway(1, 2);
  gateway.tokenizers_wire.processes[kFirst].delay_us = 50'000;
  gateway.tokenizers_wire.processes[kSecond].delay_us = 50'000;
  std::vector<ToyGateway::Started> started;
  for (int i = 0; i < 10; ++i) started.push_back(gateway.Start(ChatRequest("hello", 5, 1)));
  gateway.RunFor(1000);
  EXPECT_EQ(gateway.tokenizers_wire.processes[kFirst].encodes, 5);
  EXPECT_EQ(gateway.tokenizers_wire.processes[kSecond].encodes, 5);
  EXPECT_EQ(gateway.tokenizers.counts().pending, 10);
  started[0].handle->Abandon();
  gateway.RunFor(1000);
  EXPECT_EQ(gateway.tokenizers.counts().pending, 9);
  EXPECT_EQ(gateway.tokenizers_wire.processes[kFirst].cancelled, 1);
}

TEST(TokenizerPool, SilentTokenizerIsNotWaitedForLongerThanAsked) {
  ToyGateway gateway(1, 1);
  gateway.tokenizers_wire.processes[kFirst].delay_us = 3'600'000'000;
  std::vector<absl::Status> ends;
  const auto encode = [&](int64_t timeout_us) {
    EncodeOrder order;
    order.request.mutable_prompt()->set_text("hello");
    order.model = toy::kName;
    order.tokenizer_hash = toy::Tokenized().tokenizer_hash();
    order.template_hash = toy::Tokenized().template_hash();
    order.timeout_us = timeout_us;
    order.home = gateway.io.get_executor();
    order.done = [&ends](absl::StatusOr<EncodedPrompt> prompt) { ends.push_back(prompt.status()); };
    return gateway.tokenizers.Encode(std::move(order));
  };
  encode(300'000);
  encode(100'000);
  const uint64_t cancelled = encode(200'000);
  gateway.tokenizers.Cancel(cancelled);
  gateway.RunFor(100'000);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(ends[0])) << ends[0];
  gateway.RunFor(199'000);
  EXPECT_EQ(ends.size(), 1u);
  gateway.RunFor(1'000);
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(ends[1])) << ends[1];
  EXPECT_EQ(gateway.tokenizers.counts().pending, 0);
  EXPECT_EQ(gateway.tokenizers_wire.processes[kFirst].cancelled, 3);
}

TEST(TokenizerPool, TokenizerThatIsNotListedAnyMoreFinishesWhatItHas) {
  ToyGateway gateway(1, 2);
  gateway.tokenizers_wire.processes[kFirst].delay_us = 50'000;
  const auto started = gateway.Start(ChatRequest("hello", 5, 1));
  gateway.RunFor(1000);
  ASSERT_EQ(gateway.tokenizers_wire.processes[kFirst].encodes, 1);
  gateway.tokenizers.SetAddresses({kSecond});
  EXPECT_TRUE(gateway.Run([&] { return started.answer->ends > 0; }));
  EXPECT_TRUE(started.answer->status.ok()) << started.answer->status;
  EXPECT_EQ(gateway.tokenizers_wire.processes[kSecond].encodes, 0);
}

TEST(TokenizerPool, VocabularyIsFetchedOnceAHash) {
  ToyGateway gateway(1, 2);
  const auto vocabulary = gateway.directory.Find(toy::kName)->vocabulary;
  ASSERT_NE(vocabulary, nullptr);
  EXPECT_EQ(vocabulary->Bytes(toy::kCloseTag), "</think>");
  EXPECT_TRUE(vocabulary->IsSpecial(toy::kEos));
  gateway.tokenizers.SetAddresses({kSecond});
  gateway.RunFor(3'000'000);
  EXPECT_EQ(gateway.directory.Find(toy::kName)->vocabulary, vocabulary);
  EXPECT_EQ(gateway.tokenizers.counts().known, 1);
}

absl::StatusOr<Generator::TokenizedPrompt> Tokenized(ToyGateway& gateway, ValidRequest request) {
  absl::StatusOr<Generator::TokenizedPrompt> prompt = absl::UnknownError("not answered");
  bool answered = false;
  gateway.generator.Tokenize(std::move(request), gateway.io.get_executor(), [&](auto given) {
    prompt = std::move(given);
    answered = true;
  });
  EXPECT_FALSE(answered) << "from inside";
  EXPECT_TRUE(gateway.Run([&] { return answered; }));
  return prompt;
}

TEST(Generator, TokenizesWithoutGenerating) {
  ToyGateway gateway(1, 1);
  const auto tokenize = [&](ValidRequest request) { return Tokenized(gateway, std::move(request)); };
  const auto chat = tokenize(ChatRequest("hi", 5, 1));
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_THAT(chat->ids, ElementsAre('h', 'i'));
  EXPECT_EQ(chat->max_model_len, toy::kContext);
  EXPECT_THAT(tokenize(TokenRequest({7, 8}, 5, 1))->ids, ElementsAre(7, 8));
  ValidRequest unknown = ChatRequest("hi", 5, 1);
  unknown.model = "none";
  EXPECT_EQ(tokenize(unknown).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gateway.workers_wire.running(), 0);
  gateway.ExpectIdle();

  const std::vector<int32_t> ids = {'h', toy::kEos, 0xC3, 0xA9};
  EXPECT_EQ(*gateway.generator.Detokenize(toy::kName, ids, nullptr),
            absl::StrCat("h", ToAbsl(toy::MakeVocabulary()->Bytes(toy::kEos)), "é"));
  for (const int32_t bad : {-1, toy::kLogitsWidth}) {
    EXPECT_EQ(ErrorParam(gateway.generator.Detokenize(toy::kName, std::vector<int32_t>{bad}, nullptr).status()),
              "tokens");
  }
  EXPECT_EQ(
      ErrorParam(gateway.generator.Detokenize(toy::kName, std::vector<int32_t>(toy::kContext + 1), nullptr).status()),
      "tokens");
}

TEST(Generator, TokenizingCountsOnTheKeysAccount) {
  ToyGateway gateway(1, 1);
  const auto account = std::make_shared<KeyAccount>("a", "a", KeyLimits{.max_requests = 1, .tokens_per_minute = 6});
  const auto tokenize = [&](ValidRequest request) {
    request.account = account;
    return Tokenized(gateway, std::move(request)).status();
  };
  const auto detokenize = [&](std::vector<int32_t> ids) {
    return gateway.generator.Detokenize(toy::kName, ids, account).status();
  };
  KeyAccount::Permit other = account->Begin(gateway.clock.NowUs()).value();
  for (const absl::Status& status :
       {tokenize(ChatRequest("hi", 5, 1)), tokenize(TokenRequest({7}, 5, 1)), detokenize({'h'})}) {
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << "as many at once as it may: " << status;
    EXPECT_TRUE(RetryAfterMs(status).has_value());
  }
  other.Settle(0, gateway.clock.NowUs());
  EXPECT_TRUE(absl::IsInvalidArgument(detokenize({-1}))) << "takes nothing";
  EXPECT_TRUE(tokenize(ChatRequest("hi", 5, 1)).ok());
  EXPECT_TRUE(tokenize(TokenRequest({7, 8}, 5, 1)).ok());
  EXPECT_TRUE(detokenize({'h', 'i'}).ok());
  for (const absl::Status& status :
       {tokenize(ChatRequest("hi!", 5, 1)), tokenize(TokenRequest({7, 8, 9}, 5, 1)), detokenize({'h', 'i', '!'})}) {
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << "its minute's tokens are used: " << status;
  }
  gateway.RunFor(60'000'000);
  EXPECT_TRUE(detokenize({'h', 'i', '!'}).ok());
  gateway.ExpectIdle();
}

}  // namespace
}  // namespace swiftlet
