#include "services/text/encode/tool_format.h"

#include <string>

namespace swiftlet {
namespace {

// What is left of the spelling of a text in a template: no quotes' backslashes, no white space, no escapes of it.
std::string Squeezed(std::string_view source) {
  std::string squeezed;
  squeezed.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    if (c == '\\' && i + 1 < source.size()) {
      if (source[i + 1] == 'n' || source[i + 1] == 't') ++i;
      continue;
    }
    squeezed += c;
  }
  return squeezed;
}

}  // namespace

ToolFormat DetectToolFormat(std::string_view template_source) {
  const std::string source = Squeezed(template_source);
  // The example stands in one string or in two printed one after the other.
  for (const std::string_view example : {R"(<tool_call>{"name":)", R"(<tool_call>"}}{{-'{"name":)"}) {
    const size_t found = source.find(example);
    if (found != std::string::npos && source.find(R"("arguments":)", found) != std::string::npos) {
      return ToolFormat::kHermes;
    }
  }
  if (source.find(R"({"name":functionname,"parameters":)") != std::string::npos) return ToolFormat::kLlama3;
  return ToolFormat::kNone;
}

}  // namespace swiftlet
