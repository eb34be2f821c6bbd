// How a model writes calls of tools, as its chat template tells it to. Pure functions.
#pragma once

#include <string_view>

namespace swiftlet {

enum class ToolFormat {
  kNone,    // it is told nothing, or a format that nobody here reads
  kHermes,  // <tool_call>\n{"name": ..., "arguments": ...}\n</tool_call>: Hermes, Qwen2.5, Qwen3, QwQ
  kLlama3,  // {"name": ..., "parameters": ...}: Llama 3.1 to 3.3
};

// By the example of a call that the template spells.
ToolFormat DetectToolFormat(std::string_view template_source);

}  // namespace swiftlet
