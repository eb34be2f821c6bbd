// The files that an operator gives. Input: the file's name (config.json, generation_config.json, tokenizer_config.json,
// flags, keys), 0xFF, its text.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/model/model_config.h"
#include "services/common/flags.h"
#include "services/gateway/admission/api_key_file.h"
#include "services/text/encode/tokenizer_config.h"
#include "services/tokenizer/generation_defaults.h"
#include "tests/fuzz/input.h"

namespace swiftlet {
namespace {

// A folder with one file in it at a time; gone with the process.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("fuzz_config_files_" + std::to_string(getpid()))) {
    std::filesystem::create_directory(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string Write(const std::string& name, std::string_view text) const {
    std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void ReadModel(std::string_view text) {
  const auto config = ParseModelConfig(text);
  if (!fuzz::IsFine(config.status())) return;
  CHECK(config->vocab_size > 0 && config->num_layers > 0 && config->max_position > 0);
  CHECK(config->num_kv_heads > 0 && config->num_heads % config->num_kv_heads == 0);
  CHECK(config->head_dim >= 32 && config->head_dim <= 256 && config->head_dim % 16 == 0);
}

void ReadGeneration(const Folder& folder, std::string_view text) {
  folder.Write("generation_config.json", text);
  const auto config = ReadGenerationConfig(folder.path());
  if (!fuzz::IsFine(config.status())) return;
  CHECK(config->defaults.temperature() >= 0 && config->defaults.temperature() <= 2);
  for (const int32_t id : config->eos_token_ids) CHECK(id >= 0);
}

void ReadKeys(std::string_view text) {
  const auto keys = ParseApiKeyFile(text);
  if (!fuzz::IsFine(keys.status())) return;
  CHECK(!keys->empty());
  for (const ApiKeyEntry& key : *keys) CHECK(!key.name.empty() && key.hash.size() == 64) << key.name;
}

void ReadFlags(const std::string& path) {
  std::string model = "default";
  int32_t port = 8000;
  int64_t tokens = 7;
  double share = 0.5;
  bool strict = false;
  std::vector<std::string> workers;
  std::optional<std::string> handed_on;
  std::string format = "text";
  int64_t cache = 0;
  std::vector<std::string> keys;
  Flags flags("swiftlet-fuzz", "Reads a file of flags.");
  flags.Add("model", &model, "a directory");
  flags.AddPort("port", &port, "a port");
  flags.Add("max-tokens", &tokens, "a number", {1, 1'000'000});
  flags.Add("share", &share, "a share", {0, 1});
  flags.Add("strict", &strict, "a switch");
  flags.Add("worker", &workers, "a list");
  flags.Add("handed-on", &handed_on, "read by another");
  flags.AddChoice("log-format", &format, {"text", "json"}, "a choice");
  flags.AddBytes("cache", &cache, "bytes");
  flags.AddSecret("api-key", &keys, "a key");
  const char* const arguments[] = {"swiftlet-fuzz", "--config", path.c_str()};
  fuzz::IsFine(flags.Parse(3, arguments, {}).status());
  CHECK(port >= 0 && port <= 65535) << port;
  CHECK(tokens >= 1 && tokens <= 1'000'000) << tokens;
  CHECK(share >= 0 && share <= 1) << share;
  CHECK(cache >= 0) << cache;
  CHECK(!flags.Effective().empty());
}

}  // namespace

void fuzz::RunOne(Input input) {
  static const Folder folder;
  const std::string name(input.Text());
  const std::string_view text = input.rest();
  if (name == "config.json") ReadModel(text);
  if (name == "generation_config.json") ReadGeneration(folder, text);
  if (name == "tokenizer_config.json") IsFine(ReadTokenizerConfig(folder.Write(name, text)).status());
  if (name == "keys") ReadKeys(text);
  if (name == "flags") ReadFlags(folder.Write(name, text));
}

}  // namespace swiftlet
