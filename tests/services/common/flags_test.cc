#include "services/common/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace swiftlet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Program {
  Program() {
    flags.Add("model", &model, "directory");
    flags.Add("max-num-seqs", &max_num_seqs, "sequences", {1, 4096});
    flags.Add("drain-seconds", &drain_seconds, "seconds", {0, 100});
    flags.Add("enable-prefix-caching", &prefix_caching, "reuse");
    flags.Add("worker", &workers, "addresses");
    flags.AddChoice("log-format", &log_format, {"text", "json"}, "format");
    flags.AddBytes("kv-cache-memory-bytes", &kv_bytes, "size");
    flags.AddSecret("api-key", &api_keys, "keys");
    flags.Add("threads", &threads, "handed on");
  }

  absl::StatusOr<Flags::Next> Parse(std::vector<const char*> arguments, std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), "program");
    return flags.Parse(static_cast<int>(arguments.size()), arguments.data(), environment);
  }

  std::string Error(std::vector<const char*> arguments, std::vector<std::string> environment = {}) {
    const absl::StatusOr<Flags::Next> next = Parse(std::move(arguments), std::move(environment));
    return next.ok() ? "" : std::string(next.status().message());
  }

  Flags flags{"program", "tests flags"};
  std::string model = "none";
  int32_t max_num_seqs = 64;
  double drain_seconds = 30;
  bool prefix_caching = true;
  std::vector<std::string> workers;
  std::string log_format = "text";
  int64_t kv_bytes = 0;
  std::vector<std::string> api_keys;
  std::optional<std::string> threads;
};

std::string WriteConfig(const std::string& text) {
  const std::string path = testing::TempDir() + "/flags_test.toml";
  std::ofstream(path) << text;
  return path;
}

TEST(Flags, AnEmptyValueTakesNothingFromTheNextArgument) {
  Program program;
  ASSERT_TRUE(program.Parse({"--model=", "--max-num-seqs=7", "--api-key=a2V5cw=="}).ok());
  EXPECT_EQ(program.model, "");
  EXPECT_EQ(program.max_num_seqs, 7);
  EXPECT_THAT(program.api_keys, ElementsAre("a2V5cw=="));
  EXPECT_THAT(program.Error({"--max-num-seqs=", "--model=m"}), HasSubstr("max-num-seqs"));
}

TEST(Flags, DefaultsStandWhenNothingIsGiven) {
  Program program;
  ASSERT_TRUE(program.Parse({}).ok());
  EXPECT_EQ(program.max_num_seqs, 64);
  EXPECT_TRUE(program.prefix_caching);
  EXPECT_FALSE(program.threads.has_value());
}

TEST(Flags, CommandLineSetsEveryKind) {
  Program program;
  ASSERT_EQ(program.Error({"--model", "dir", "--max-num-seqs=8", "--drain-seconds", "0.5", "--no-enable-prefix-caching",
                           "--worker", "a:1,b:2", "--worker", "c:3", "--log-format", "json", "--kv-cache-memory-bytes",
                           "2GiB", "--threads", "4"}),
            "");
  EXPECT_EQ(program.model, "dir");
  EXPECT_EQ(program.max_num_seqs, 8);
  EXPECT_EQ(program.drain_seconds, 0.5);
  EXPECT_FALSE(program.prefix_caching);
  EXPECT_THAT(program.workers, ElementsAre("a:1", "b:2", "c:3"));
  EXPECT_EQ(program.log_format, "json");
  EXPECT_EQ(program.kv_bytes, int64_t{2} << 30);
  EXPECT_EQ(program.threads, "4");
}

TEST(Flags, CommandLineWinsOverEnvironmentAndThatOverFile) {
  Program program;
  const std::string path = WriteConfig("model = \"file\"\nmax-num-seqs = 3\ndrain-seconds = 7\n");
  ASSERT_EQ(program.Error({"--config", path.c_str(), "--model=line"},
                          {"SWIFTLET_MODEL=environment", "SWIFTLET_MAX_NUM_SEQS=2", "HOME=/"}),
            "");
  EXPECT_EQ(program.model, "line");
  EXPECT_EQ(program.max_num_seqs, 2);
  EXPECT_EQ(program.drain_seconds, 7);
  EXPECT_THAT(program.flags.Effective(), HasSubstr("drain-seconds=7 (config file)"));
}

TEST(Flags, OperandStandsAnywhereAndOnce) {
  const auto parse = [](std::vector<const char*> arguments) {
    std::string directory;
    std::string memory;
    Flags flags("program", "");
    flags.AddOperand("DIR", &directory, "the directory");
    flags.Add("memory", &memory, "");
    arguments.insert(arguments.begin(), "program");
    const auto next = flags.Parse(static_cast<int>(arguments.size()), arguments.data(), {});
    return next.ok() ? directory + " " + memory : std::string(next.status().message());
  };
  EXPECT_EQ(parse({"here", "--memory", "1"}), "here 1");
  EXPECT_EQ(parse({"--memory", "1", "here"}), "here 1");
  EXPECT_EQ(parse({"--memory=1"}), "DIR is missing: the directory");
  EXPECT_THAT(parse({"here", "there"}), HasSubstr("\"there\" is not a flag"));
}

TEST(Flags, VariableOfOtherProgramsSaysWhatNothingElseDoes) {
  const auto colour_of = [](std::vector<const char*> arguments, std::vector<std::string> environment) {
    std::string colour = "auto";
    Flags flags("program", "");
    flags.AddChoice("color", &colour, {"auto", "always", "never"}, "");
    flags.AlsoSetBy("NO_COLOR", "never");
    arguments.insert(arguments.begin(), "program");
    EXPECT_TRUE(flags.Parse(static_cast<int>(arguments.size()), arguments.data(), environment).ok());
    return colour;
  };
  EXPECT_EQ(colour_of({}, {"NO_COLOR=1"}), "never");
  EXPECT_EQ(colour_of({}, {"NO_COLOR=", "NO_COLORS=1"}), "auto");
  EXPECT_EQ(colour_of({"--color=always"}, {"NO_COLOR=1"}), "always");
  EXPECT_EQ(colour_of({}, {"NO_COLOR=1", "SWIFTLET_COLOR=always"}), "always");
}

TEST(Flags, ConfigFileReadsSwitchesAndLists) {
  Program program;
  const std::string path =
      WriteConfig("# comment\nenable-prefix-caching = false\nworker = [\"a:1\", \"b:2\"]\nlog-format = json\n");
  ASSERT_EQ(program.Error({"--config", path.c_str()}), "");
  EXPECT_FALSE(program.prefix_caching);
  EXPECT_THAT(program.workers, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(program.log_format, "json");
}

TEST(Flags, UnknownNamesAreRefusedWithTheNearest) {
  EXPECT_THAT(Program().Error({"--max-num-seq", "4"}), HasSubstr("did you mean --max-num-seqs?"));
  EXPECT_THAT(Program().Error({"--no-enable-prefix-cachin"}), HasSubstr("--no-enable-prefix-caching?"));
  EXPECT_THAT(Program().Error({}, {"SWIFTLET_MAX_SEQS=4"}), HasSubstr("did you mean SWIFTLET_MAX_NUM_SEQS?"));
  const std::string path = WriteConfig("modle = x\n");
  EXPECT_THAT(Program().Error({"--config", path.c_str()}), HasSubstr("did you mean model?"));
  EXPECT_THAT(Program().Error({"--qqqqqqqq"}), Not(HasSubstr("did you mean")));
  EXPECT_THAT(Program().Error({"stray"}), HasSubstr("not a flag"));
}

TEST(Flags, ServiceLinksOfKubernetesAreNotOurs) {
  Program program;
  EXPECT_EQ(program.Error({}, {"SWIFTLET_GATEWAY_SERVICE_HOST=10.0.0.1", "SWIFTLET_GATEWAY_SERVICE_PORT_HTTP=8000",
                               "SWIFTLET_MODEL=tcp://10.0.0.1:8000", "SWIFTLET_PORT_8000_TCP_ADDR=10.0.0.1"}),
            "");
  EXPECT_EQ(program.model, "none");
}

TEST(Flags, BadValuesNameTheFlagAndWhatIsNeeded) {
  EXPECT_THAT(Program().Error({"--max-num-seqs", "0"}), HasSubstr("--max-num-seqs: \"0\" given; 1 to 4096"));
  EXPECT_THAT(Program().Error({"--max-num-seqs", "4x"}), HasSubstr("\"4x\""));
  EXPECT_THAT(Program().Error({"--max-num-seqs", "99999999999999999999"}), HasSubstr("1 to 4096"));
  EXPECT_THAT(Program().Error({"--drain-seconds", "nan"}), HasSubstr("0 to 100"));
  EXPECT_THAT(Program().Error({"--log-format", "xml"}), HasSubstr("one of text, json"));
  EXPECT_THAT(Program().Error({"--kv-cache-memory-bytes", "-1"}), HasSubstr("is no size"));
  EXPECT_THAT(Program().Error({"--kv-cache-memory-bytes", "9999999999GiB"}), HasSubstr("is no size"));
  EXPECT_THAT(Program().Error({"--kv-cache-memory-bytes", "80gb"}), HasSubstr("is no size"));
  int64_t bytes = 0;
  EXPECT_TRUE(ParseBytes("80GB", &bytes).ok());
  EXPECT_EQ(bytes, 80'000'000'000);
  EXPECT_THAT(Program().Error({"--model", "a", "--model", "b"}), HasSubstr("exactly one"));
  EXPECT_THAT(Program().Error({}, {"SWIFTLET_ENABLE_PREFIX_CACHING=maybe"}), HasSubstr("neither true nor false"));
  EXPECT_NE(Program().Error({"--model"}), "");
  EXPECT_NE(Program().Error({"--config", "/nonexistent.toml"}), "");
}

TEST(Flags, SectionsAndRepeatedKeysAreRefused) {
  const std::string section = WriteConfig("[worker]\nmodel = x\n");
  EXPECT_NE(Program().Error({"--config", section.c_str()}), "");
  const std::string twice = WriteConfig("model = x\nmax-num-seqs = 3\nmodel = y\n");
  EXPECT_NE(Program().Error({"--config", twice.c_str()}), "");
}

TEST(Flags, SecretsAreNotShown) {
  Program program;
  ASSERT_EQ(program.Error({"--api-key", "hunter2,hunter3"}), "");
  EXPECT_THAT(program.api_keys, ElementsAre("hunter2", "hunter3"));
  EXPECT_THAT(program.flags.Effective(), Not(HasSubstr("hunter")));
  EXPECT_THAT(program.flags.Effective(), HasSubstr("[2 hidden]"));
}

TEST(Flags, RequiredFlagMayComeFromAnySource) {
  std::string model;
  Flags flags("program", "tests");
  flags.Add("model", &model, "directory");
  flags.Require();
  const char* argv[] = {"program"};
  EXPECT_THAT(std::string(flags.Parse(1, argv, {}).status().message()), HasSubstr("--model is missing"));
  EXPECT_TRUE(flags.Parse(1, argv, {"SWIFTLET_MODEL=x"}).ok());
}

TEST(Flags, HelpExits) {
  Program program;
  const absl::StatusOr<Flags::Next> next = program.Parse({"--help"});
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(*next, Flags::Next::kExit);
}

}  // namespace
}  // namespace swiftlet
