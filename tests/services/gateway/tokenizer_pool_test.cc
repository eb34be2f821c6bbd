#include "services/gateway/tokenizer_pool.h"

#include <gtest/gtest.h>

#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

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

}  // namespace
}  // namespace swiftlet
