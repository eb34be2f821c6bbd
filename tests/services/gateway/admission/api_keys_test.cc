#include "services/gateway/admission/api_keys.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>

#include <random>
#include <set>
#include <thread>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/common/model_files.h"
#include "services/gateway/admission/api_key_file.h"
#include "services/gateway/admission/cache_salt.h"
#include "services/gateway/telemetry/caller_request_id.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int64_t kSecondUs = 1'000'000;
constexpr char kKey[] = "key-of-the-search-team";

TEST(ApiKeyFile, ReadsNamesKeysAndLimits) {
  const auto entries = ParseApiKeyFile(
      absl::StrCat("# who may call\n\n", R"({"name": "search", "key": "key-of-the-search-team", "max_requests": 2})",
                   "\r\n", R"( {"name":"batch","key_sha256":")", Sha256Hex("another-key-of-some-length"),
                   R"(","tokens_per_minute":600,"max_requests":1})", "\n",
                   R"({"name":"search","key":"the-next-key-of-search","max_requests":2})"));
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ((*entries)[0].name, "search");
  EXPECT_EQ((*entries)[0].hash, Sha256Hex(kKey));
  EXPECT_EQ((*entries)[0].limits, (KeyLimits{.max_requests = 2}));
  EXPECT_EQ((*entries)[1].limits, (KeyLimits{.max_requests = 1, .tokens_per_minute = 600}));
}

TEST(ApiKeyFile, RefusesWithTheLineAndWithoutWhatStandsThere) {
  const std::string good = R"({"name":"a","key":"secret-secret-secret"})";
  for (const auto& [text, named] : std::vector<std::pair<std::string, std::string>>{
           {"", "has no key"},
           {"# only a remark\n", "has no key"},
           {good + "\nsecret-secret-secret", "line 2 is not one JSON object"},
           {good + "\n[" + good + "]", "line 2 is not one JSON object"},
           {R"({"secret-secret-secret":"a"})", "line 1 has a member that is none of"},
           {R"({"name":"a","name":"b","key":"secret-secret-secret"})", "line 1 is not one JSON object"},
           {R"({"name":"a","key":"secret-secret-secret"} {})", "line 1 is not one JSON object"},
           {R"({"key":"secret-secret-secret"})", "\"name\""},
           {R"({"name":"","key":"secret-secret-secret"})", "\"name\""},
           {R"({"name":"a b","key":"secret-secret-secret"})", "\"name\""},
           {R"({"name":7,"key":"secret-secret-secret"})", "\"name\""},
           {absl::StrCat(R"({"name":")", std::string(65, 'x'), R"(","key":"secret-secret-secret"})"), "\"name\""},
           {R"({"name":"a"})", "\"key\" or \"key_sha256\""},
           {R"({"name":"a","key":"secret"})", "16 to 256"},
           {R"({"name":"a","key":"secret secret secret"})", "16 to 256"},
           {R"({"name":"a","key":null})", "16 to 256"},
           {R"({"name":"a","key_sha256":"abc"})", "64 hexadecimal"},
           {R"({"name":"a","key":"secret-secret-secret","max_requests":0})", "max_requests"},
           {R"({"name":"a","key":"secret-secret-secret","max_requests":1.5})", "max_requests"},
           {R"({"name":"a","key":"secret-secret-secret","max_requests":"2"})", "max_requests"},
           {R"({"name":"a","key":"secret-secret-secret","tokens_per_minute":-1})", "tokens_per_minute"},
           {R"({"name":"a","key":"secret-secret-secret","tokens_per_minute":18446744073709551615})",
            "tokens_per_minute"},
           {good + "\n" + good, "line 2 has a key that stands in an earlier line"},
           {good + "\n" + R"({"name":"a","key":"secret-secret-other!","max_requests":3})",
            "line 2 has other limits"}}) {
    const absl::Status status = ParseApiKeyFile(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(named)) << text;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret"))) << text;
  }
  std::string many;
  for (int i = 0; i <= 1000; ++i) absl::StrAppend(&many, R"({"name":"a","key":"long-enough-key-)", i, "\"}\n");
  EXPECT_THAT(std::string(ParseApiKeyFile(many).status().message()), HasSubstr("line 1001"));
  EXPECT_TRUE(absl::IsNotFound(ReadApiKeyFile("/nowhere/keys").status()));
}

TEST(ApiKeyFile, EveryCutAndEveryChangedByteIsReadOrRefused) {
  const std::string text = absl::StrCat(R"({"name":"a","key":"secret-secret-secret","max_requests":2})", "\n",
                                        R"({"name":"b","key":"secret-secret-second","tokens_per_minute":9})", "\n");
  std::mt19937 random(4);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(random());
    for (const std::string& one : {text.substr(0, i), changed}) {
      const auto entries = ParseApiKeyFile(one);
      EXPECT_TRUE(entries.ok() || absl::IsInvalidArgument(entries.status())) << entries.status();
    }
  }
}

TEST(ApiKeys, FileKeysComeAndGoAndAccountsStay) {
  ApiKeys keys({"flag-key"});
  EXPECT_EQ(keys.Check("Bearer flag-key").value()->name(), "api-key");
  EXPECT_TRUE(absl::IsUnauthenticated(keys.Check("Bearer first-key").status()));
  keys.SetFileKeys({{"search", Sha256Hex("first-key"), {.max_requests = 1}}}, 0);
  const std::shared_ptr<KeyAccount> account = keys.Check("bearer first-key").value();
  EXPECT_EQ(account->name(), "search");
  auto permit = account->Begin(0);
  ASSERT_TRUE(permit.ok());
  keys.SetFileKeys({{"search", Sha256Hex("second-key"), {.max_requests = 2}}}, 0);
  EXPECT_TRUE(absl::IsUnauthenticated(keys.Check("Bearer first-key").status()));
  EXPECT_EQ(keys.Check("Bearer second-key").value(), account);
  auto second = account->Begin(0);
  EXPECT_TRUE(second.ok()) << "the limit is the new one";
  EXPECT_TRUE(absl::IsResourceExhausted(account->Begin(0).status()));
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "second-key", "Basic second-key", "Bearer second-key ", "Bearer second-ke"}) {
    EXPECT_TRUE(absl::IsUnauthenticated(keys.Check(wrong).status())) << wrong;
  }
  EXPECT_TRUE(keys.Check("Bearer flag-key").ok());
  permit->Settle(0, 1);
  second->Settle(0, 1);
  EXPECT_EQ(ApiKeys({}).Check("").value(), nullptr);
}

TEST(ApiKeys, NameThatIsGoneForATimeComesBackWithWhatItUses) {
  const KeyLimits limits{.max_requests = 1, .tokens_per_minute = 600};
  const std::vector<ApiKeyEntry> with = {{"search", Sha256Hex("search-key"), limits},
                                         {"other", Sha256Hex("other"), {}}};
  const std::vector<ApiKeyEntry> without = {{"other", Sha256Hex("other"), {}}};
  ApiKeys keys({});
  int64_t now_us = 0;
  const auto search = [&] { return keys.Check("Bearer search-key").value(); };
  const auto away_and_back = [&] {
    for (const auto& entries : {without, without, with}) keys.SetFileKeys(entries, now_us);
  };
  keys.SetFileKeys(with, now_us);
  auto permit = search()->Begin(now_us).value();
  ASSERT_TRUE(search()->Reserve(permit, 600, now_us).ok());
  keys.SetFileKeys(without, now_us);
  EXPECT_TRUE(absl::IsUnauthenticated(keys.Check("Bearer search-key").status()));
  away_and_back();
  EXPECT_FALSE(search()->Begin(now_us).ok()) << "its request still runs";
  permit.Settle(600, now_us);
  away_and_back();
  permit = search()->Begin(now_us).value();
  EXPECT_EQ(RetryAfterMs(search()->Reserve(permit, 300, now_us)), 30'000) << "its minute is used up";
  permit.Settle(0, now_us);
  const std::weak_ptr<KeyAccount> old = search();
  keys.SetFileKeys(without, now_us += 59 * kSecondUs);
  EXPECT_FALSE(old.expired());
  keys.SetFileKeys(without, now_us += kSecondUs);
  EXPECT_TRUE(old.expired()) << "nothing of it counts any more";
}

TEST(ApiKeys, AccountOfARequestThatHasYetToBeginIsFoundAgain) {
  ApiKeys keys({});
  const std::vector<ApiKeyEntry> search = {{"search", Sha256Hex(kKey), {.max_requests = 1}}};
  const std::vector<ApiKeyEntry> other = {{"other", Sha256Hex("other"), {}}};
  keys.SetFileKeys(search, 0);
  const std::shared_ptr<KeyAccount> account = keys.Check(absl::StrCat("Bearer ", kKey)).value();
  keys.SetFileKeys(other, 0);
  keys.SetFileKeys(search, 0);
  EXPECT_EQ(keys.Check(absl::StrCat("Bearer ", kKey)).value(), account);
}

TEST(ApiKeys, CallersCheckWhileTheFileIsReadAgain) {
  ApiKeys keys({});
  const auto read = [&](int64_t max_requests) {
    keys.SetFileKeys({{"other", Sha256Hex("another-key"), {}},
                      {"search", Sha256Hex(kKey), {.max_requests = max_requests, .tokens_per_minute = 1000}}},
                     0);
  };
  read(2);
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int64_t now_us = 0; now_us < 500; ++now_us) {
        const auto account = keys.Check(absl::StrCat("Bearer ", kKey));
        ASSERT_TRUE(account.ok()) << account.status();
        auto permit = (*account)->Begin(now_us);
        if (!permit.ok()) continue;
        (*account)->Reserve(*permit, 100, now_us).IgnoreError();
        permit->Settle(7, now_us);
      }
    });
  }
  for (int i = 0; i < 100; ++i) read(1 + i % 4);
  for (std::thread& caller : callers) caller.join();
  read(2);
  const std::shared_ptr<KeyAccount> account = keys.Check(absl::StrCat("Bearer ", kKey)).value();
  auto first = account->Begin(500), second = account->Begin(500);
  EXPECT_TRUE(first.ok() && second.ok()) << "a request was not given back";
  EXPECT_FALSE(account->Begin(500).ok());
  first->Settle(0, 500);
  second->Settle(0, 500);
}

TEST(ApiKeys, NamesOfTheFileAndKeysOfFlagsAreTenants) {
  ApiKeys keys({"first-flag", "second-flag"});
  keys.SetFileKeys({{"search", Sha256Hex("old-key"), {}},
                    {"search", Sha256Hex("new-key"), {}},
                    {"api-key", Sha256Hex("odd-key"), {}}},
                   0);
  const auto tenant = [&](const char* authorization) { return keys.Check(authorization).value()->tenant(); };
  EXPECT_EQ(tenant("Bearer old-key"), "search");
  EXPECT_EQ(tenant("Bearer new-key"), "search");
  EXPECT_EQ(keys.Check("Bearer second-flag").value()->name(), "api-key");
  const std::set<std::string> tenants = {tenant("Bearer first-flag"), tenant("Bearer second-flag"),
                                         tenant("Bearer old-key"), tenant("Bearer odd-key")};
  EXPECT_EQ(tenants.size(), 4u);
}

TEST(CacheSalt, IsUnlikeForUnlikePairsAndTellsNothing) {
  EXPECT_EQ(CacheSalt("", ""), "");
  const std::string nul(1, '\0');
  const std::vector<std::string> texts = {
      "", "1", "a", "ab", "b", "1:a", ":", nul, nul + nul, "\u00e4", std::string(256, 'a')};
  std::set<std::string> salts;
  for (const std::string& tenant : texts) {
    for (const std::string& callers : texts) {
      const std::string salt = CacheSalt(tenant, callers);
      EXPECT_EQ(salt, CacheSalt(tenant, callers));
      EXPECT_LE(salt.size(), limits::kMaxNameBytes) << "what a worker takes";
      salts.insert(salt);
    }
  }
  EXPECT_EQ(salts.size(), texts.size() * texts.size());
}

TEST(KeyAccount, BoundsRequestsAtOnce) {
  const auto account = std::make_shared<KeyAccount>("a", "a", KeyLimits{.max_requests = 2});
  int64_t now_us = 0;
  for (int i = 0; i < 100; ++i) {  // 4 a second
    auto permit = account->Begin(now_us);
    ASSERT_TRUE(permit.ok());
    permit->Settle(5, now_us += kSecondUs / 4);
  }
  auto first = account->Begin(now_us), second = account->Begin(now_us);
  ASSERT_TRUE(first.ok() && second.ok());
  const absl::Status full = account->Begin(now_us).status();
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_EQ(RetryAfterMs(full), 1000);
  first->Settle(1, now_us);
  first->Settle(1, now_us);  // once is enough
  auto third = account->Begin(now_us);
  EXPECT_TRUE(third.ok());
  EXPECT_FALSE(account->Begin(now_us).ok());
  second->Settle(1, now_us);
  third->Settle(1, now_us);
}

TEST(KeyAccount, BoundsTokensAMinute) {
  const auto account = std::make_shared<KeyAccount>("a", "a", KeyLimits{.tokens_per_minute = 600});
  const auto ask = [&](int64_t tokens, int64_t now_us) {
    auto permit = account->Begin(now_us);
    const absl::Status status = account->Reserve(*permit, tokens, now_us);
    return std::pair(std::move(*permit), status);
  };
  auto [first, first_status] = ask(500, 0);
  EXPECT_TRUE(first_status.ok());
  auto [second, second_status] = ask(300, 0);  // 200 are missing: 20 s
  EXPECT_TRUE(absl::IsResourceExhausted(second_status)) << second_status;
  EXPECT_EQ(RetryAfterMs(second_status), 20'000);
  second.Settle(0, 0);
  first.Settle(100, 0);  // took less than it might have
  auto [third, third_status] = ask(300, 0);
  EXPECT_TRUE(third_status.ok());
  third.Settle(900, 0);  // no max_tokens was known: a debt of 400
  auto [fourth, fourth_status] = ask(1, 0);
  EXPECT_EQ(RetryAfterMs(fourth_status), 40'100);
  fourth.Settle(0, 0);
  auto [fifth, fifth_status] = ask(1, 40'100'000);
  EXPECT_TRUE(fifth_status.ok());
  fifth.Settle(1, 40'100'000);
  auto [huge, huge_status] = ask(5000, 200 * kSecondUs);  // more than a minute's: waits for all of one
  EXPECT_TRUE(huge_status.ok());
  huge.Settle(5000, 200 * kSecondUs);
}

TEST(KeyAccount, WhatWasUsedStaysUsedUnderAnotherLimit) {
  const auto account = std::make_shared<KeyAccount>("a", "a", KeyLimits{.tokens_per_minute = 600});
  const auto ask = [&](int64_t tokens, int64_t now_us) {
    auto permit = account->Begin(now_us);
    const absl::Status status = account->Reserve(*permit, tokens, now_us);
    permit->Settle(status.ok() ? tokens : 0, now_us);
    return status;
  };
  EXPECT_TRUE(ask(500, 0).ok());
  account->SetLimits({.tokens_per_minute = 6000});
  EXPECT_EQ(RetryAfterMs(ask(200, 0)), 1000) << "100 are missing";
  EXPECT_TRUE(ask(200, kSecondUs).ok());
  account->SetLimits({.tokens_per_minute = 20});
  EXPECT_EQ(RetryAfterMs(ask(1, kSecondUs)), 3000);
  account->SetLimits({});
  EXPECT_TRUE(ask(1'000'000, kSecondUs).ok());
  account->SetLimits({.tokens_per_minute = 60});
  EXPECT_TRUE(ask(60, kSecondUs).ok()) << "what was used without a limit does not count";
  EXPECT_TRUE(absl::IsResourceExhausted(ask(1, kSecondUs)));
}

TEST(KeyAccount, NeverGivesMoreThanItsRate) {
  std::mt19937 random(9);
  const auto account = std::make_shared<KeyAccount>("a", "a", KeyLimits{.max_requests = 5, .tokens_per_minute = 6000});
  std::vector<std::pair<KeyAccount::Permit, int64_t>> running;
  int64_t now_us = 0, used = 0;
  for (int i = 0; i < 20'000; ++i) {
    now_us += random() % 100'000;
    if (random() % 2 == 0 && !running.empty()) {
      const size_t at = random() % running.size();
      const int64_t tokens = random() % (running[at].second + 1);
      running[at].first.Settle(tokens, now_us);
      used += tokens;
      running.erase(running.begin() + static_cast<int64_t>(at));
      continue;
    }
    auto permit = account->Begin(now_us);
    ASSERT_EQ(permit.ok(), running.size() < 5);
    if (!permit.ok()) continue;
    const int64_t tokens = 1 + random() % 400;
    if (account->Reserve(*permit, tokens, now_us).ok()) {
      running.emplace_back(std::move(*permit), tokens);
    } else {
      permit->Settle(0, now_us);
    }
    ASSERT_LE(used, 6000 + now_us / 10'000);
  }
  for (auto& [permit, tokens] : running) permit.Settle(0, now_us);
  EXPECT_GT(used, now_us / 10'000 / 4);
}

TEST(HttpRoutes, TellsTheGenerationWhoseKeyItWas) {
  Front front([](const ValidRequest&) { return TextScript({"x"}); });
  front.keys.SetFileKeys({{"search", Sha256Hex(kKey), {}}}, 0);
  const std::string key = absl::StrCat("Authorization: Bearer ", kKey, "\r\n");
  EXPECT_EQ(front.Ask("POST", kChatPath, kChatBody, key + "X-Request-Id: mine\r\n").headers.at("x-request-id"), "mine");
  EXPECT_EQ(front.generator.requests().back().account->name(), "search");
  EXPECT_EQ(front.generator.requests().back().entry->caller_id, "mine");
  EXPECT_EQ(front.Ask("POST", "/swiftlet/v1/chat", kChatBody, key + "X-Request-Id: other\r\n").status, 200);
  EXPECT_EQ(front.generator.requests().back().account->name(), "search");
  EXPECT_EQ(front.generator.requests().back().entry->caller_id, "other");
}

TEST(HttpRoutes, TellsWhoseKeyCountsTokens) {
  Front front([](const ValidRequest&) { return TextScript({"x"}); });
  front.keys.SetFileKeys({{"one", Sha256Hex("key-one"), {}}, {"two", Sha256Hex("key-two"), {}}}, 0);
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {"/tokenize", R"({"model":"tiny","prompt":"ab"})"},
           {"/detokenize", R"({"model":"tiny","tokens":[97]})"},
           {"/swiftlet/v1/tokenize", R"({"model":"tiny","text":"ab"})"},
           {"/swiftlet/v1/detokenize", R"({"model":"tiny","token_ids":[97]})"}}) {
    for (const std::string name : {"one", "two"}) {
      EXPECT_EQ(front.Ask("POST", path, body, "Authorization: Bearer key-" + name + "\r\n").status, 200) << path;
      ASSERT_NE(front.generator.last_counted_on(), nullptr) << path;
      EXPECT_EQ(front.generator.last_counted_on()->name(), name) << path;
    }
  }
}

TEST(CallerRequestId, IsAnEchoAndNeverAKey) {
  Front front([](const ValidRequest&) { return TextScript({"x"}); });
  for (const std::string& id : {std::string("a"), std::string("a"), std::string(64, 'b')}) {
    const TestResponse answer = front.Ask("POST", kChatPath, kChatBody, "X-Request-Id: " + id + "\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.at("x-request-id"), id);
  }
  for (const std::string& id :
       {std::string(), std::string(65, 'b'), std::string(10'000, 'c'), std::string("a b"), std::string("\xff")}) {
    const TestResponse answer = front.Ask("POST", kChatPath, kChatBody, "X-Request-Id: " + id + "\r\n");
    EXPECT_EQ(answer.status, 200) << id.size();
    EXPECT_FALSE(answer.headers.contains("x-request-id"));
  }
  std::set<std::string> ours;
  for (const ValidRequest& request : front.generator.requests()) ours.insert(request.request_id);
  EXPECT_EQ(ours.size(), 8u) << "one for each, whatever its caller said";
  EXPECT_EQ(CallerRequestId("a\r\nb"), "");
}

}  // namespace
}  // namespace swiftlet
