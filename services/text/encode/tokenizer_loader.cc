#include "services/text/encode/tokenizer_loader.h"

#include <absl/strings/str_cat.h>

#include <string_view>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/limits.h"
#include "services/text/encode/sentencepiece_tokenizer.h"
#include "services/text/encode/tokenizer_config.h"
#include "services/text/encode/tokenizer_json.h"

namespace swiftlet {
namespace {

absl::StatusOr<std::unique_ptr<Tokenizer>> WithPath(absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer,
                                                    std::string_view path) {
  if (tokenizer.ok()) return tokenizer;
  return absl::Status(tokenizer.status().code(), absl::StrCat(ToAbsl(path), ": ", tokenizer.status().message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& model_directory) {
  ASSIGN_OR_RETURN(const TokenizerConfig config, ReadTokenizerConfig(model_directory + "/tokenizer_config.json"));
  const std::string json_path = model_directory + "/tokenizer.json";
  const absl::StatusOr<std::string> json = ReadFile(json_path, kMaxTokenizerBytes);
  if (json.ok()) return WithPath(ParseTokenizerJson(*json, config), json_path);
  if (!absl::IsNotFound(json.status())) return json.status();
  const std::string model_path = model_directory + "/tokenizer.model";
  const absl::StatusOr<std::string> model = ReadFile(model_path, kMaxTokenizerBytes);
  if (model.ok()) return WithPath(ParseSentencePieceModel(*model, config), model_path);
  if (!absl::IsNotFound(model.status())) return model.status();
  return absl::NotFoundError(
      absl::StrCat(model_directory, ": neither tokenizer.json nor tokenizer.model is in this directory"));
}

}  // namespace swiftlet
