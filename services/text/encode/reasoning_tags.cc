#include "services/text/encode/reasoning_tags.h"

#include <algorithm>

namespace swiftlet {

namespace {

struct Pair {
  std::string_view open;
  std::string_view close;
};

constexpr Pair kKnown[] = {
    {"<think>", "</think>"},                         // DeepSeek-R1, Qwen3, QwQ, GLM, SmolLM3, MiniMax
    {"[THINK]", "[/THINK]"},                         // Magistral
    {"<seed:think>", "</seed:think>"},               // Seed-OSS
    {"<|START_THINKING|>", "<|END_THINKING|>"},      // Command A Reasoning
    {"<|inner_prefix|>", "<|inner_suffix|>"},        // Apertus
    {"<thought>", "</thought>"},                     // EXAONE Deep
    {"◁think▷", "◁/think▷"},                         // Kimi-VL thinking
    {"<|begin_of_thought|>", "<|end_of_thought|>"},  // Sky-T1, OpenThinker
    {"<reasoning>", "</reasoning>"},
};

// Where the last `tag` begins that no message spells.
size_t LastOfTemplate(const jinja::Text& prompt, std::string_view tag) {
  size_t found = prompt.bytes.rfind(tag);
  while (found != std::string::npos && prompt.IsUser(found)) {
    found = found == 0 ? std::string::npos : prompt.bytes.rfind(tag, found - 1);
  }
  return found;
}

}  // namespace

std::optional<TagPair> DetectReasoningTags(std::string_view template_source,
                                           const std::vector<std::string>& added_tokens) {
  for (const Pair& pair : kKnown) {
    if (template_source.find(pair.close) != std::string_view::npos ||
        template_source.find(pair.open) != std::string_view::npos) {
      return TagPair{std::string(pair.open), std::string(pair.close)};
    }
  }
  for (const Pair& pair : kKnown) {
    if (std::find(added_tokens.begin(), added_tokens.end(), pair.close) != added_tokens.end()) {
      return TagPair{std::string(pair.open), std::string(pair.close)};
    }
  }
  return std::nullopt;
}

bool EndsInsideReasoning(const jinja::Text& prompt, const TagPair& tags, bool continues_message) {
  const size_t open = LastOfTemplate(prompt, tags.open);
  if (open == std::string::npos) return false;
  const size_t close = LastOfTemplate(prompt, tags.close);
  if (close != std::string::npos && close > open) return false;
  if (continues_message) return true;
  return prompt.user_ranges.empty() || prompt.user_ranges.back().end <= open;
}

}  // namespace swiftlet
