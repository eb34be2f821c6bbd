#include "services/gateway/request/tool_formats.h"

#include "engine/base/check.h"
#include "services/common/errors.h"

namespace swiftlet {
namespace {

ToolParser ToldBy(v1::TokenizedModel::ToolFormat format) {
  switch (format) {
    case v1::TokenizedModel::TOOL_FORMAT_HERMES:
      return ToolParser::kHermes;
    case v1::TokenizedModel::TOOL_FORMAT_LLAMA3:
      return ToolParser::kLlama3;
    default:
      return ToolParser::kNone;  // a newer tokenizer's too
  }
}

}  // namespace

ToolParser ToolParserOf(std::string_view name) {
  if (name == "auto") return ToolParser::kAuto;
  if (name == "none") return ToolParser::kNone;
  if (name == "hermes") return ToolParser::kHermes;
  CHECK(name == "llama3") << name;
  return ToolParser::kLlama3;
}

absl::StatusOr<std::optional<ToolCallFormat>> CallFormatOf(const ValidRequest& request, const DirectoryEntry& model,
                                                           ToolParser parser) {
  const auto* chat = std::get_if<ChatInput>(&request.input);
  if (chat == nullptr || chat->tools.empty()) return std::nullopt;
  switch (parser == ToolParser::kAuto ? ToldBy(model.tokenizer.tool_format()) : parser) {
    case ToolParser::kHermes:
      return ToolCallFormat{.begin = "<tool_call>\n", .end = "\n</tool_call>", .separator = "\n"};
    case ToolParser::kLlama3:
      return ToolCallFormat{.arguments_key = "parameters", .allows_several = false};
    default:
      return InvalidField("tools",
                          "the model's chat template tells of no format of tool calls that this server reads (Hermes "
                          "and Qwen, Llama 3)");
  }
}

}  // namespace swiftlet
