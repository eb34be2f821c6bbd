// ChatTemplate::Load: the files of a model directory that hold a template and its special tokens.
#include <absl/status/status.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "services/text/encode/chat_template.h"
#include "services/text/encode/concat.h"

namespace swiftlet {

namespace {

constexpr size_t kMaxConfigBytes = size_t{64} << 20;
constexpr size_t kMaxTemplateBytes = size_t{2} << 20;
constexpr std::string_view kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                            "pad_token", "cls_token", "mask_token"};

bool Exists(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

// A token is written as its text or as an object with the text under "content".
void ReadSpecialTokens(const boost::json::object& config, SpecialTokens& tokens) {
  for (const std::string_view name : kTokenNames) {
    const boost::json::value* token = config.if_contains(name);
    if (token != nullptr && token->is_object()) token = token->get_object().if_contains("content");
    if (token == nullptr || !token->is_string()) continue;
    bool known = false;
    for (const auto& entry : tokens) known = known || entry.first == name;
    if (!known) tokens.emplace_back(name, std::string(token->get_string()));
  }
}

absl::StatusOr<boost::json::object> ReadObject(const std::string& path) {
  ASSIGN_OR_RETURN(boost::json::value json, ReadStrictJsonFile(path, kMaxConfigBytes));
  if (!json.is_object()) return absl::InvalidArgumentError(Concat(path, ": expected a JSON object"));
  return std::move(json.get_object());
}

// chat_template of tokenizer_config.json: text, or a list of {name, template}.
absl::Status ReadTemplates(const std::string& path, const boost::json::value& json, std::string& source,
                           std::string& tool_source) {
  if (json.is_string()) {
    source = std::string(json.get_string());
    return absl::OkStatus();
  }
  const absl::Status malformed =
      absl::InvalidArgumentError(Concat(path, ": chat_template: expected a string or a list of {name, template}"));
  if (!json.is_array()) return malformed;
  for (const boost::json::value& entry : json.get_array()) {
    if (!entry.is_object()) return malformed;
    const boost::json::value* name = entry.get_object().if_contains("name");
    const boost::json::value* text = entry.get_object().if_contains("template");
    if (name == nullptr || text == nullptr || !name->is_string() || !text->is_string()) return malformed;
    if (name->get_string() == "default") source = std::string(text->get_string());
    if (name->get_string() == "tool_use") tool_source = std::string(text->get_string());
  }
  if (source.empty()) return absl::InvalidArgumentError(Concat(path, ": chat_template: none is named default"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Load(const std::string& model_directory) {
  const std::string template_path = model_directory + "/chat_template.jinja";
  const std::string config_path = model_directory + "/tokenizer_config.json";
  const std::string map_path = model_directory + "/special_tokens_map.json";
  SpecialTokens tokens;
  std::string source;
  std::string tool_source;
  std::string origin = template_path;
  if (Exists(template_path)) {
    ASSIGN_OR_RETURN(source, ReadFile(template_path, kMaxTemplateBytes));
  }
  if (Exists(config_path)) {
    ASSIGN_OR_RETURN(const boost::json::object config, ReadObject(config_path));
    ReadSpecialTokens(config, tokens);
    const boost::json::value* json = config.if_contains("chat_template");
    if (source.empty() && json != nullptr && !json->is_null()) {
      origin = config_path;
      RETURN_IF_ERROR(ReadTemplates(config_path, *json, source, tool_source));
    }
  }
  if (Exists(map_path)) {
    ASSIGN_OR_RETURN(const boost::json::object map, ReadObject(map_path));
    ReadSpecialTokens(map, tokens);
  }
  if (source.empty()) {
    return absl::NotFoundError(Concat(model_directory, ": no chat template: expected chat_template.jinja, or ",
                                      "chat_template in tokenizer_config.json"));
  }
  absl::StatusOr<std::unique_ptr<const ChatTemplate>> compiled =
      Compile(std::move(source), std::move(tool_source), std::move(tokens));
  if (!compiled.ok()) {
    return absl::InvalidArgumentError(Concat(origin, ": chat template: ", compiled.status().message()));
  }
  return compiled;
}

}  // namespace swiftlet
