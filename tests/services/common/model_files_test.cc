#include "services/common/model_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace swiftlet {
namespace {

class ModelFiles : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/model_files_test";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directory(directory_);
  }
  void Write(const std::string& name, const std::string& text) { std::ofstream(directory_ + "/" + name) << text; }
  ModelFileHashes Hash() {
    const absl::StatusOr<ModelFileHashes> hashes = HashModelFiles(directory_);
    EXPECT_TRUE(hashes.ok()) << hashes.status();
    return hashes.ok() ? *hashes : ModelFileHashes();
  }
  std::string directory_;
};

TEST_F(ModelFiles, Sha256IsTheStandardOne) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(ModelFiles, DirectoryWithoutTokenizerHasNoHash) {
  Write("tokenizer_config.json", "{}");
  EXPECT_EQ(Hash().tokenizer, "");
  EXPECT_EQ(Hash().chat_template, "");
}

TEST_F(ModelFiles, HashFollowsContent) {
  Write("tokenizer.json", "{}");
  Write("tokenizer_config.json", R"({"chat_template": "{{ a }}"})");
  const ModelFileHashes first = Hash();
  EXPECT_EQ(first.tokenizer.size(), 64u);
  EXPECT_EQ(first.chat_template.size(), 64u);
  EXPECT_EQ(Hash().tokenizer, first.tokenizer);
  Write("tokenizer.json", "{ }");
  EXPECT_NE(Hash().tokenizer, first.tokenizer);
  EXPECT_EQ(Hash().chat_template, first.chat_template);
}

TEST_F(ModelFiles, JinjaFileWinsOverConfig) {
  Write("tokenizer_config.json", R"({"chat_template": "{{ a }}"})");
  const std::string from_config = Hash().chat_template;
  Write("chat_template.jinja", "{{ b }}");
  const std::string from_file = Hash().chat_template;
  EXPECT_NE(from_file, from_config);
  Write("tokenizer_config.json", R"({"chat_template": "{{ c }}"})");
  EXPECT_EQ(Hash().chat_template, from_file);
}

TEST_F(ModelFiles, BrokenConfigIsAnError) {
  Write("tokenizer_config.json", "{");
  EXPECT_FALSE(HashModelFiles(directory_).ok());
}

}  // namespace
}  // namespace swiftlet
