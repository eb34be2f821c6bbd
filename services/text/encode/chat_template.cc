#include "services/text/encode/chat_template.h"

#include <absl/status/status.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/sha.h>

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/status_macros.h"
#include "services/text/encode/chat_values.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_interpreter.h"
#include "services/text/encode/jinja_parser.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {

namespace {

using jinja::Text;
using jinja::Value;

// What Render sets itself, and names that other software gives a meaning outside the template.
constexpr std::string_view kOwnVariables[] = {"messages",
                                              "tools",
                                              "documents",
                                              "add_generation_prompt",
                                              "continue_final_message",
                                              "bos_token",
                                              "eos_token",
                                              "unk_token",
                                              "sep_token",
                                              "pad_token",
                                              "cls_token",
                                              "mask_token",
                                              "raise_exception",
                                              "strftime_now",
                                              "range",
                                              "namespace",
                                              "dict",
                                              "joiner",
                                              "loop",
                                              "caller",
                                              "varargs",
                                              "kwargs",
                                              "tokenize",
                                              "chat_template",
                                              "self"};

std::string Sha256(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

// Where the last message's content stands in `prompt`: what follows is the template's, and cut off.
absl::StatusOr<jinja::ByteRange> FindFinalMessage(const Text& prompt, const boost::json::value& messages) {
  const boost::json::array& array = messages.get_array();
  const boost::json::value* content =
      !array.empty() && array.back().is_object() ? array.back().get_object().if_contains("content") : nullptr;
  if (content == nullptr || !content->is_string()) {
    return absl::InvalidArgumentError("continue_final_message: the last message has no text content");
  }
  const std::string_view text = content->get_string();
  const jinja::ByteRange inner = jinja::StripRange(text, nullptr, true, true);
  const std::string_view stripped = text.substr(inner.begin, inner.end - inner.begin);
  const size_t found = prompt.bytes.rfind(stripped);
  if (stripped.empty() || found == std::string::npos) {
    return absl::InvalidArgumentError(
        "continue_final_message: the chat template does not put the last message's content into the prompt as it is");
  }
  // Blanks at the message's end stay where the template kept them.
  const std::string_view with_tail = text.substr(inner.begin);
  const bool keeps_tail = prompt.bytes.compare(found, with_tail.size(), with_tail) == 0;
  return jinja::ByteRange{found, found + (keeps_tail ? with_tail : stripped).size()};
}

// The prompt up to `message`'s end. Reasoning tags inside it count as the template's: who puts words into the model's
// mouth may open and close its reasoning.
Text CutBehindMessage(const Text& prompt, const jinja::ByteRange& message, const std::optional<TagPair>& tags) {
  jinja::TextBuilder cut;
  size_t at = 0;
  for (size_t i = message.begin; tags.has_value() && i < message.end; ++i) {
    for (const std::string& tag : {tags->open, tags->close}) {
      if (i + tag.size() > message.end || prompt.bytes.compare(i, tag.size(), tag) != 0) continue;
      cut.Append(prompt, at, i);
      cut.Append(tag);
      at = i + tag.size();
    }
  }
  cut.Append(prompt, at, message.end);
  return cut.Build();
}

}  // namespace

struct ChatTemplate::Compiled {
  jinja::Limits limits;
  jinja::Program program;
  std::optional<jinja::Program> tool_program;

  absl::StatusOr<Text> Run(const jinja::Program& chosen, const SpecialTokens& special_tokens,
                           const ChatTemplateInput& input) const;
};

ChatTemplate::ChatTemplate() = default;
ChatTemplate::~ChatTemplate() = default;

std::string RenderedChat::Text() const {
  std::string text;
  for (const RenderedSegment& segment : segments) text += segment.text;
  return text;
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Compile(std::string source,
                                                                          SpecialTokens special_tokens) {
  return Compile(std::move(source), "", std::move(special_tokens));
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Compile(std::string source, std::string tool_source,
                                                                          SpecialTokens special_tokens) {
  for (const std::string* text : {&source, &tool_source}) {
    if (const size_t valid = ValidUtf8Prefix(*text); valid != text->size()) {
      return absl::InvalidArgumentError(absl::StrCat("the chat template is not valid UTF-8 at byte ", valid));
    }
  }
  auto compiled = std::make_unique<Compiled>();
  ASSIGN_OR_RETURN(compiled->program, jinja::Parse(source, compiled->limits));
  if (!tool_source.empty()) {
    ASSIGN_OR_RETURN(compiled->tool_program, jinja::Parse(tool_source, compiled->limits));
  }
  ChatTemplateInput probe;
  probe.messages = boost::json::array{boost::json::object{{"role", "user"}, {"content", "a"}}};
  probe.tools = nullptr;
  // A short message needs some thousand steps; what spins or doubles is found out within a fraction of a second.
  const jinja::Limits limits = std::exchange(compiled->limits, {.steps = 500'000, .created_bytes = size_t{32} << 20});
  const absl::StatusOr<Text> rendered = compiled->Run(compiled->program, special_tokens, probe);
  compiled->limits = limits;
  if (absl::IsResourceExhausted(rendered.status())) return absl::InvalidArgumentError(rendered.status().message());

  std::unique_ptr<ChatTemplate> result(new ChatTemplate());
  result->hash_ = Sha256(tool_source.empty() ? source : Concat(source, std::string_view("\0", 1), tool_source));
  result->reasoning_tags_ = DetectReasoningTags(source, {});
  result->tool_format_ = DetectToolFormat(tool_source.empty() ? source : tool_source);
  result->source_ = std::move(source);
  result->special_tokens_ = std::move(special_tokens);
  result->compiled_ = std::move(compiled);
  return std::unique_ptr<const ChatTemplate>(std::move(result));
}

absl::StatusOr<Text> ChatTemplate::Compiled::Run(const jinja::Program& chosen, const SpecialTokens& special_tokens,
                                                 const ChatTemplateInput& input) const {
  std::vector<std::pair<std::string_view, Value>> variables;
  for (const auto& [name, text] : special_tokens) variables.emplace_back(name, Value::String(text));
  for (const auto& entry : input.keywords) {
    ASSIGN_OR_RETURN(Value value, UserValue(entry.value()));
    variables.emplace_back(entry.key(), std::move(value));
  }
  ASSIGN_OR_RETURN(Value messages, MessagesValue(input.messages));
  variables.emplace_back("messages", std::move(messages));
  if (input.tools.has_value()) {
    ASSIGN_OR_RETURN(Value tools, UserValue(*input.tools));
    variables.emplace_back("tools", std::move(tools));
  }
  if (input.documents.has_value()) {
    ASSIGN_OR_RETURN(Value documents, UserValue(*input.documents));
    variables.emplace_back("documents", std::move(documents));
  }
  variables.emplace_back("add_generation_prompt",
                         Value::Bool(input.add_generation_prompt && !input.continue_final_message));
  jinja::Runtime runtime(limits, input.now);
  return jinja::Interpreter(chosen, runtime).Run(variables);
}

absl::StatusOr<RenderedChat> ChatTemplate::Render(const ChatTemplateInput& input) const {
  const bool has_tools = input.tools.has_value() && !input.tools->is_null();
  const jinja::Program& program =
      has_tools && compiled_->tool_program.has_value() ? *compiled_->tool_program : compiled_->program;
  absl::StatusOr<Text> text = compiled_->Run(program, special_tokens_, input);
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  if (input.continue_final_message) {
    ASSIGN_OR_RETURN(const jinja::ByteRange message, FindFinalMessage(*text, input.messages));
    *text = CutBehindMessage(*text, message, reasoning_tags_);
  }
  RenderedChat chat;
  size_t at = 0;
  auto append = [&](size_t end, bool from_user) {
    if (end > at) chat.segments.push_back({text->bytes.substr(at, end - at), from_user});
    at = end;
  };
  for (const jinja::ByteRange& range : text->user_ranges) {
    append(range.begin, false);
    append(range.end, true);
  }
  append(text->bytes.size(), false);
  if (reasoning_tags_.has_value()) {
    chat.starts_in_reasoning = EndsInsideReasoning(*text, *reasoning_tags_, input.continue_final_message);
  }
  return chat;
}

bool ChatTemplate::ReadsVariable(std::string_view name) const {
  auto reads = [&](const jinja::Program& program) {
    const auto found = std::find(program.names.begin(), program.names.end(), name);
    return found != program.names.end() && program.is_read[static_cast<size_t>(found - program.names.begin())];
  };
  return reads(compiled_->program) || (compiled_->tool_program.has_value() && reads(*compiled_->tool_program));
}

std::vector<std::string> ChatTemplate::Keywords() const {
  std::vector<std::string> keywords;
  const jinja::Program& program = compiled_->program;
  for (size_t i = 0; i < program.names.size(); ++i) {
    if (program.is_free[i] && AcceptsKeyword(program.names[i])) keywords.push_back(program.names[i]);
  }
  return keywords;
}

bool ChatTemplate::AcceptsKeyword(std::string_view name) const {
  return std::find(std::begin(kOwnVariables), std::end(kOwnVariables), name) == std::end(kOwnVariables) &&
         ReadsVariable(name);
}

}  // namespace swiftlet
