#include "tools/swiftlet/serve/serve_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace swiftlet {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

ServeOptions Parsed(std::vector<const char*> arguments) {
  ServeOptions options;
  Flags flags("swiftlet serve", "test");
  options.AddTo(flags);
  arguments.insert(arguments.begin(), {"serve", "--model", "models/demo"});
  const auto next = flags.Parse(static_cast<int>(arguments.size()), arguments.data(), {});
  EXPECT_TRUE(next.ok()) << next.status();
  int32_t port = 40000;
  for (int32_t* open : options.OpenPorts()) *open = port++;
  return options;
}

const PlannedChild& Child(const ServePlan& plan, const std::string& name) {
  for (const PlannedChild& child : plan.children) {
    if (child.spec.name == name) return child;
  }
  ADD_FAILURE() << name;
  return plan.children.front();
}

TEST(ServePlan, ChildrenFindEachOther) {
  const ServePlan plan = MakeServePlan(Parsed({"--port", "9000", "--worker-port", "9201"}), "/bin-folder", {});
  ASSERT_EQ(plan.children.size(), 3u);
  EXPECT_EQ(plan.children.back().spec.name, "gateway") << "it is stopped first";
  const auto& worker = Child(plan, "worker").spec;
  EXPECT_EQ(worker.program, "/bin-folder/swiftlet-worker");
  EXPECT_THAT(worker.arguments, Contains("--port=9201"));
  EXPECT_THAT(worker.arguments, Contains("--served-model-name=demo"));
  EXPECT_THAT(Child(plan, "tokenizer").spec.arguments, Contains("--served-model-name=demo"));
  const auto& gateway = Child(plan, "gateway").spec.arguments;
  EXPECT_THAT(gateway, Contains("--worker-endpoints=127.0.0.1:9201"));
  EXPECT_THAT(gateway, Contains("--tokenizer-endpoints=127.0.0.1:40000"));
  EXPECT_THAT(plan.banner, HasSubstr("http://127.0.0.1:9000/v1\n"));
}

TEST(ServePlan, FlagsAreHandedToTheirChildAlone) {
  const ServePlan plan = MakeServePlan(
      Parsed({"--max-num-seqs", "8", "--no-enable-prefix-caching", "--tokenizer-threads", "3", "--playground"}), "/b",
      {});
  EXPECT_THAT(Child(plan, "worker").spec.arguments, Contains("--max-num-seqs=8"));
  EXPECT_THAT(Child(plan, "worker").spec.arguments, Contains("--no-enable-prefix-caching"));
  EXPECT_THAT(Child(plan, "tokenizer").spec.arguments, Contains("--threads=3"));
  EXPECT_THAT(Child(plan, "gateway").spec.arguments, Contains("--playground"));
  EXPECT_THAT(plan.banner, HasSubstr("  playground  http://127.0.0.1:8000/\n"));
  EXPECT_THAT(Child(plan, "gateway").spec.arguments, Not(Contains(HasSubstr("max-num-seqs"))));
}

TEST(ServePlan, OtherNamesOfMetricsAreForThoseThatHaveThem) {
  const ServePlan plan = MakeServePlan(Parsed({"--metrics-compat", "vllm"}), "/b", {});
  EXPECT_THAT(Child(plan, "gateway").spec.arguments, Contains("--metrics-compat=vllm"));
  EXPECT_THAT(Child(plan, "worker").spec.arguments, Contains("--metrics-compat=vllm"));
  EXPECT_THAT(Child(plan, "tokenizer").spec.arguments, Not(Contains(HasSubstr("metrics-compat"))));
}

TEST(ServePlan, TlsIsTheGateways) {
  const ServePlan plan = MakeServePlan(Parsed({"--ssl-certfile", "c.pem", "--ssl-keyfile", "k.pem"}), "/b", {});
  EXPECT_THAT(Child(plan, "gateway").spec.arguments, Contains("--ssl-certfile=c.pem"));
  EXPECT_THAT(Child(plan, "worker").spec.arguments, Not(Contains(HasSubstr("ssl"))));
  EXPECT_THAT(plan.banner, HasSubstr("https://127.0.0.1:8000/v1"));
}

TEST(ServePlan, WhatIsNotGivenIsLeftToTheChild) {
  const ServeOptions options = Parsed({});
  for (const char* child : {"worker", "tokenizer", "gateway"})
    EXPECT_THAT(HandedOnArguments(options, child), IsEmpty());
}

TEST(ServePlan, KeysGoThroughTheEnvironmentOfTheGatewayAlone) {
  const ServePlan plan =
      MakeServePlan(Parsed({"--api-key", "k1", "--api-key", "k2"}), "/b", {"HOME=/root", "SWIFTLET_MODEL=x"});
  EXPECT_THAT(Child(plan, "gateway").spec.environment, ElementsAre("HOME=/root", "SWIFTLET_API_KEY=k1,k2"));
  EXPECT_THAT(Child(plan, "worker").spec.environment, ElementsAre("HOME=/root"));
  for (const PlannedChild& child : plan.children) EXPECT_THAT(child.spec.arguments, Not(Contains(HasSubstr("k1"))));
}

TEST(ServePlan, WildcardHostsAreReachedOverLoopback) {
  EXPECT_EQ(Child(MakeServePlan(Parsed({"--host", "0.0.0.0"}), "/b", {}), "gateway").admin_host, "127.0.0.1");
  const ServePlan ipv6 = MakeServePlan(Parsed({"--host", "::"}), "/b", {});
  EXPECT_EQ(Child(ipv6, "gateway").admin_host, "::1");
  EXPECT_THAT(ipv6.banner, HasSubstr("http://[::1]:8000/v1"));
}

}  // namespace
}  // namespace swiftlet
