#include "services/text/encode/tokenizer_config.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/text/encode/limits.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

// "<s>" or {"content": "<s>", ...}.
absl::StatusOr<std::optional<std::string>> TokenText(const JsonFields& config, std::string_view key) {
  const json::value* value = config.Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  ASSIGN_OR_RETURN(const JsonFields token, JsonFields::Of(*value, config.PathOf(key)));
  ASSIGN_OR_RETURN(const std::string_view content, token.String("content"));
  return std::string(content);
}

absl::StatusOr<TokenizerConfig> Parse(const json::value& document) {
  TokenizerConfig config;
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(document, ""));
  ASSIGN_OR_RETURN(config.bos_token, TokenText(fields, "bos_token"));
  ASSIGN_OR_RETURN(config.eos_token, TokenText(fields, "eos_token"));
  ASSIGN_OR_RETURN(config.pad_token, TokenText(fields, "pad_token"));
  ASSIGN_OR_RETURN(config.unk_token, TokenText(fields, "unk_token"));
  ASSIGN_OR_RETURN(config.add_bos_token, fields.Bool("add_bos_token", true));
  ASSIGN_OR_RETURN(config.add_eos_token, fields.Bool("add_eos_token", false));
  if (fields.Find("added_tokens_decoder") != nullptr) {
    ASSIGN_OR_RETURN(const JsonFields tokens, fields.Object("added_tokens_decoder"));
    for (const auto& member : fields.Find("added_tokens_decoder")->get_object()) {
      const std::string_view key(member.key().data(), member.key().size());
      ASSIGN_OR_RETURN(const JsonFields entry, JsonFields::Of(member.value(), tokens.PathOf(key)));
      ASSIGN_OR_RETURN(AddedToken token, ParseAddedToken(entry));
      if (!absl::SimpleAtoi(ToAbsl(key), &token.id) || token.id < 0 || token.id > kMaxTokenId) {
        return absl::InvalidArgumentError(
            absl::StrCat(tokens.PathOf(key), ": the key is no id in [0, ", kMaxTokenId, "]"));
      }
      config.added_tokens.push_back(std::move(token));
    }
  }
  return config;
}

}  // namespace

absl::StatusOr<AddedToken> ParseAddedToken(const JsonFields& fields) {
  AddedToken token;
  ASSIGN_OR_RETURN(const std::string_view content, fields.String("content"));
  if (content.size() > kMaxAddedTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(fields.PathOf("content"), ": ", content.size(), " bytes; at most ", kMaxAddedTokenBytes));
  }
  token.content = std::string(content);
  ASSIGN_OR_RETURN(token.single_word, fields.Bool("single_word", false));
  ASSIGN_OR_RETURN(token.lstrip, fields.Bool("lstrip", false));
  ASSIGN_OR_RETURN(token.rstrip, fields.Bool("rstrip", false));
  ASSIGN_OR_RETURN(token.special, fields.Bool("special", false));
  ASSIGN_OR_RETURN(token.normalized, fields.Bool("normalized", !token.special));
  return token;
}

absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const std::string& path) {
  absl::StatusOr<json::value> document = ReadStrictJsonFile(path, kMaxTokenizerConfigBytes);
  if (absl::IsNotFound(document.status())) return TokenizerConfig{};
  RETURN_IF_ERROR(document.status());
  absl::StatusOr<TokenizerConfig> config = Parse(*document);
  if (!config.ok()) {
    return absl::Status(config.status().code(), absl::StrCat(path, ": ", config.status().message()));
  }
  return config;
}

SpecialIds FindSpecialIds(const TokenizerConfig& config,
                          absl::FunctionRef<std::optional<int32_t>(std::string_view text)> find_id) {
  const auto find = [&](const std::optional<std::string>& text) {
    return text.has_value() ? find_id(*text) : std::nullopt;
  };
  return {find(config.bos_token), find(config.eos_token), find(config.pad_token), find(config.unk_token)};
}

}  // namespace swiftlet
