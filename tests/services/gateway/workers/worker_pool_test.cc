#include "services/gateway/workers/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "services/gateway/admission/key_account.h"
#include "services/gateway/workers/worker_choice.h"
#include "tests/services/gateway/toy_gateway.h"

namespace swiftlet {
namespace {

std::vector<WorkerCandidate> Candidates(const std::vector<std::string>& addresses, std::vector<int64_t> loads = {}) {
  loads.resize(addresses.size());
  std::vector<WorkerCandidate> candidates;
  for (size_t i = 0; i < addresses.size(); ++i) candidates.push_back({addresses[i], loads[i]});
  return candidates;
}

TEST(WorkerChoice, EqualBeginningsMeetWhateverFollows) {
  std::vector<int32_t> prompt(300);
  for (int32_t i = 0; i < 300; ++i) prompt[i] = i;
  const uint64_t hash = PrefixHash("", prompt);
  prompt[299] = 7;  // after the four blocks that count
  EXPECT_EQ(PrefixHash("", prompt), hash);
  EXPECT_NE(PrefixHash("tenant", prompt), hash);
  prompt[0] = 7;
  EXPECT_NE(PrefixHash("", prompt), hash);
  EXPECT_NE(PrefixHash("", std::vector<int32_t>{1}), PrefixHash("", std::vector<int32_t>{2}));
}

TEST(WorkerChoice, OrderDoesNotMatterAndALeaverMovesOnlyItsOwn) {
  const std::vector<std::string> all = {"a:1", "b:1", "c:1", "d:1"};
  const std::vector<std::string> shuffled = {"c:1", "a:1", "d:1", "b:1"};
  const std::vector<std::string> fewer = {"a:1", "b:1", "d:1"};
  std::map<std::string, int> share;
  for (int32_t prompt = 0; prompt < 4000; ++prompt) {
    const uint64_t hash = PrefixHash("", std::vector<int32_t>{prompt});
    const std::string chosen = all[ChooseWorker(Candidates(all), hash, 1.25)];
    ++share[chosen];
    EXPECT_EQ(shuffled[ChooseWorker(Candidates(shuffled), hash, 1.25)], chosen);
    if (chosen == "c:1") continue;
    EXPECT_EQ(fewer[ChooseWorker(Candidates(fewer), hash, 1.25)], chosen);
  }
  for (const auto& [address, count] : share) EXPECT_NEAR(count, 1000, 150) << address;
}

TEST(WorkerChoice, BusyWorkerSpillsToTheLessLoadedOfTwo) {
  const std::vector<std::string> addresses = {"a:1", "b:1", "c:1"};
  const uint64_t hash = PrefixHash("", std::vector<int32_t>{1});
  const size_t best = ChooseWorker(Candidates(addresses), hash, 1.25);
  std::vector<int64_t> loads(3, 1000);
  loads[best] = 1250;
  EXPECT_EQ(ChooseWorker(Candidates(addresses, loads), hash, 1.25), best) << "below 1.25 x the mean";
  loads[best] = 2000;
  const size_t second = ChooseWorker(Candidates(addresses, loads), hash, 1.25);
  EXPECT_NE(second, best);
  loads[second] = 2500;
  loads[best] = 2400;
  EXPECT_EQ(ChooseWorker(Candidates(addresses, loads), hash, 1.25), best) << "the second is busier still";
}

TEST(WorkerPool, SamePrefixGoesToTheSameWorkerAndLoadSpreads) {
  ToyGateway gateway(3, 1);
  for (int i = 0; i < 5; ++i) gateway.Ask(TokenRequest(std::vector<int32_t>(64, 5), 5, static_cast<uint64_t>(i)));
  int workers_used = 0;
  for (int i = 0; i < 3; ++i) workers_used += gateway.workers_wire.submits(ToyGateway::WorkerAddress(i)) > 0 ? 1 : 0;
  EXPECT_EQ(workers_used, 1);

  std::vector<ToyGateway::Started> started;
  for (int i = 0; i < 30; ++i) started.push_back(gateway.Start(TokenRequest(std::vector<int32_t>(64, 5), 200, 1)));
  gateway.RunFor(1000);
  for (int i = 0; i < 3; ++i) workers_used += gateway.workers_wire.submits(ToyGateway::WorkerAddress(i)) > 0 ? 1 : 0;
  EXPECT_GE(workers_used, 3) << "one prefix filled one worker alone";
}

TEST(WorkerPool, TellsWhatEachWorkerHasToDo) {
  ToyGateway gateway(2, 1);
  std::vector<ToyGateway::Started> started;
  for (int i = 0; i < 3; ++i) started.push_back(gateway.Start(TokenRequest(std::vector<int32_t>(64, 5), 200, 1)));
  gateway.RunFor(1000);
  const auto workers = gateway.workers.ByWorker();
  ASSERT_EQ(workers.size(), 2u);
  EXPECT_EQ(workers[0].address, ToyGateway::WorkerAddress(0));
  EXPECT_EQ(workers[0].requests + workers[1].requests, 3);
}

TEST(WorkerPool, TellsAtOnceWhichWorkerGetsAnOrderOrWhyNoneDoes) {
  ToyGateway gateway(1, 1);
  WorkOrder order;
  order.submit = GoldenSubmit(TokenRequest({1, 2, 3}, 5, 1));
  order.submit.set_request_id(1'000'000);
  order.needs.model = toy::kName;
  order.home = gateway.io.get_executor();
  absl::StatusCode code = gateway.workers.Submit(order).status().code();
  EXPECT_EQ(code, absl::StatusCode::kUnavailable) << "of another tokenizer";
  order.needs.tokenizer_hash = toy::Tokenized().tokenizer_hash();
  order.needs.template_hash = toy::Tokenized().template_hash();
  order.needs.logits_width = toy::kLogitsWidth;
  const auto worker = gateway.workers.Submit(order);
  ASSERT_TRUE(worker.ok()) << worker.status();
  EXPECT_THAT((*worker)->worker_id(), testing::StartsWith(ToyGateway::WorkerAddress(0)));
  EXPECT_EQ(gateway.workers.counts().outstanding, 1);
  gateway.workers.Cancel(1'000'000);
  EXPECT_EQ(gateway.workers.counts().outstanding, 0);
}

TEST(WorkerPool, JoinsOnlyWhatFits) {
  const auto problem = [](const std::function<void(v1::ModelInfo&)>& change) {
    ToyGateway gateway(1, 1);
    EXPECT_TRUE(gateway.generator.Models().at(0).ready);
    v1::WorkerHello hello = toy::Hello("w");
    change(*hello.mutable_model());
    gateway.workers_wire.hello_of[ToyGateway::WorkerAddress(0)] = hello;
    gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 1000);
    gateway.RunFor(2'000'000);
    EXPECT_EQ(gateway.workers.counts().routable, 1);
    const auto entry = gateway.directory.Find(toy::kName);
    return entry->ready ? "ready" : entry->problem;
  };
  using testing::HasSubstr;
  EXPECT_EQ(problem([](v1::ModelInfo&) {}), "ready");
  EXPECT_THAT(problem([](v1::ModelInfo& m) { m.set_tokenizer_hash("x"); }), HasSubstr("tokenizer hash"));
  EXPECT_THAT(problem([](v1::ModelInfo& m) { m.set_template_hash("x"); }), HasSubstr("template hash"));
  EXPECT_THAT(problem([](v1::ModelInfo& m) { m.set_logits_width(100); }), HasSubstr("100 wide"));
  EXPECT_THAT(problem([](v1::ModelInfo& m) { m.set_name("other"); }), HasSubstr("no worker"));
}

TEST(WorkerPool, FormsAndBoundsOnReasoningNeedAWorkerThatReadsThem) {
  ToyGateway gateway(2, 1);
  const auto make = [&](int worker, int32_t newest) {
    v1::WorkerHello hello = toy::Hello("w" + std::to_string(worker));
    hello.mutable_protocol()->set_newest(newest);
    gateway.workers_wire.hello_of[ToyGateway::WorkerAddress(worker)] = hello;
    gateway.workers_wire.Kill(ToyGateway::WorkerAddress(worker), 1000);
    gateway.RunFor(5'000'000);
    EXPECT_EQ(gateway.workers.counts().routable, 2);
  };
  const auto bounded = [](uint64_t seed) {
    ValidRequest request = ChatRequest("think of " + std::to_string(seed), 20, seed);
    request.thinking_token_budget = 3;
    return request;
  };
  ValidRequest object = ChatRequest("an object", 20, 1);
  object.form.kind = OutputForm::kJsonObject;
  make(0, 1);
  const int64_t before = gateway.workers_wire.submits(ToyGateway::WorkerAddress(0));
  for (uint64_t seed = 0; seed < 10; ++seed) EXPECT_TRUE(gateway.Ask(bounded(seed))->status.ok());
  EXPECT_TRUE(gateway.Ask(object)->status.ok());
  EXPECT_EQ(gateway.workers_wire.submits(ToyGateway::WorkerAddress(0)), before);
  make(1, 1);
  for (const ValidRequest& request : {bounded(1), object}) {
    const absl::Status status = gateway.Ask(request)->status;
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("older ones"));
  }
  EXPECT_TRUE(gateway.Ask(ChatRequest("plain", 20, 1))->status.ok());
  gateway.ExpectIdle();
}

TEST(WorkerPool, AddressesComeAndGoUnderRunningRequests) {
  ToyGateway gateway(1, 1);
  const ValidRequest request = TokenRequest({1, 2, 3}, 200, 5);
  const auto started = gateway.Start(request);
  ASSERT_TRUE(gateway.Run([&] { return started.answer->deltas > 1; }));
  gateway.workers.SetAddresses({ToyGateway::WorkerAddress(7)});
  const auto next = gateway.Start(request);
  ASSERT_TRUE(gateway.Run([&] { return started.answer->ends + next.answer->ends == 2; }));
  EXPECT_TRUE(started.answer->status.ok()) << started.answer->status;
  EXPECT_EQ(gateway.workers_wire.submits(ToyGateway::WorkerAddress(0)), 1);
  gateway.Ask(request);
  EXPECT_GE(gateway.workers_wire.submits(ToyGateway::WorkerAddress(7)), 1);
  gateway.workers_wire.Kill(ToyGateway::WorkerAddress(0), 1000);
  gateway.RunFor(5'000'000);
  EXPECT_EQ(gateway.workers.counts().known, 1);
}

TEST(WorkerPool, PrefixCacheIsTheTenants) {
  ToyGateway gateway(1, 1);
  const auto salt = [&](const char* tenant, const std::string& callers) {
    ValidRequest request = ChatRequest("one prompt", 4, 1);
    if (tenant != nullptr) request.account = std::make_shared<KeyAccount>("same name", tenant, KeyLimits());
    request.cache_salt = callers;
    EXPECT_TRUE(gateway.Ask(request)->status.ok());
    return gateway.workers_wire.seen().back().cache_salt();
  };
  EXPECT_EQ(salt(nullptr, ""), "");
  const std::vector<std::string> salts = {salt(nullptr, ""), salt(nullptr, "x"), salt("a", ""),
                                          salt("b", ""),     salt("a", "x"),     salt("b", "x")};
  EXPECT_EQ(std::set<std::string>(salts.begin(), salts.end()).size(), salts.size());
  EXPECT_EQ(salt("a", "x"), salts[4]);
}

}  // namespace
}  // namespace swiftlet
