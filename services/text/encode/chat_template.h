// A model's chat template: messages to the prompt's text, with every byte marked as the template's or the user's, so
// that the tokenizer never reads a special token out of a message. Compiled once per model; const and thread-safe.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/civil_time.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/value.hpp>

#include "services/text/encode/reasoning_tags.h"
#include "services/text/encode/tool_format.h"

namespace swiftlet {

struct ChatTemplateInput {
  // Array of objects: role, content (string or null), and what the API allows beside them (reasoning_content,
  // tool_calls, tool_call_id, name). All strings are user text except roles of the known set.
  boost::json::value messages;
  // JSON null is None in the template, as transformers passes it; nothing leaves the name undefined.
  std::optional<boost::json::value> tools;
  std::optional<boost::json::value> documents;
  bool add_generation_prompt = true;
  // Ends the prompt inside the last message, for the model to go on with it; excludes add_generation_prompt.
  bool continue_final_message = false;
  // chat_template_kwargs. Callers accept only names for which AcceptsKeyword is true.
  boost::json::object keywords;
  absl::CivilSecond now;  // local time for strftime_now
};

struct RenderedSegment {
  std::string text;  // UTF-8, never empty
  bool from_user = false;
};

struct RenderedChat {
  std::vector<RenderedSegment> segments;  // neighbours differ in from_user
  bool starts_in_reasoning = false;       // the model's first token is already reasoning

  std::string Text() const;
};

// Names such as "bos_token" and their texts.
using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

class ChatTemplate {
 public:
  // Reads chat_template.jinja, or else tokenizer_config.json's chat_template (a string or a list of named templates),
  // and the special tokens. NOT_FOUND where the directory has no template; errors name the file.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Load(const std::string& model_directory);
  // Refuses what does not parse and what meets a limit when it renders one short message.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Compile(std::string source, SpecialTokens special_tokens);
  // `tool_source` is what renders when tools are given.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Compile(std::string source, std::string tool_source,
                                                                     SpecialTokens special_tokens);
  ~ChatTemplate();

  // INVALID_ARGUMENT with the template's own words where it refuses the conversation.
  absl::StatusOr<RenderedChat> Render(const ChatTemplateInput& input) const;

  bool ReadsVariable(std::string_view name) const;
  // Whether `name` may come in chat_template_kwargs: the template reads it and it is not one of those we set.
  bool AcceptsKeyword(std::string_view name) const;
  std::vector<std::string> Keywords() const;         // those that the template does not first set itself
  const std::string& hash() const { return hash_; }  // SHA-256 of the source, hexadecimal
  const std::optional<TagPair>& reasoning_tags() const { return reasoning_tags_; }
  ToolFormat tool_format() const { return tool_format_; }
  const std::string& source() const { return source_; }

 private:
  struct Compiled;
  ChatTemplate();

  std::string source_;
  std::string hash_;
  SpecialTokens special_tokens_;
  std::unique_ptr<const Compiled> compiled_;
  std::optional<TagPair> reasoning_tags_;
  ToolFormat tool_format_ = ToolFormat::kNone;
};

}  // namespace swiftlet
