#include "tools/swiftlet/bench/prompts.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <array>
#include <string_view>
#include <utility>

#include <boost/json/serialize.hpp>
#include <boost/random/uniform_int_distribution.hpp>

#include "engine/base/string_view.h"

namespace swiftlet::bench {
namespace {

constexpr std::array<std::string_view, 24> kWords = {
    "river", "seven", "paper", "light", "count", "green", "north", "stone", "apple", "music", "cloud", "train",
    "house", "plant", "quiet", "sugar", "table", "water", "field", "glass", "month", "story", "voice", "wheel"};

}  // namespace

Prompt MakePrompt(const Options& options, const Dataset& dataset, int64_t index) {
  Random random(options.seed * 0x9e3779b97f4a7c15ULL + static_cast<uint64_t>(index));
  DatasetEntry entry;
  if (!dataset.empty()) entry = dataset[static_cast<size_t>(index) % dataset.size()];
  Prompt prompt{
      .text = std::move(entry.text), .ids = std::move(entry.ids), .messages_json = std::move(entry.messages_json)};
  const int32_t input_tokens = entry.input_tokens > 0 ? entry.input_tokens : options.input_tokens.Draw(random);
  prompt.max_tokens = entry.output_tokens > 0 ? entry.output_tokens : options.output_tokens.Draw(random);
  prompt.seed = random() >> 1;
  if (!prompt.text.empty() || !prompt.ids.empty() || !prompt.messages_json.empty()) return prompt;
  if (options.token_ids) {
    const boost::random::uniform_int_distribution<int32_t> id(0, options.vocabulary_size - 1);
    for (int32_t i = 0; i < input_tokens; ++i) prompt.ids.push_back(id(random));
  } else {
    for (int32_t i = 0; i < input_tokens; ++i) {
      if (i > 0) prompt.text += ' ';
      prompt.text += kWords[random() % kWords.size()];
    }
  }
  return prompt;
}

std::string RequestBody(const Options& options, const Prompt& prompt) {
  const auto quoted = [](std::string_view text) { return boost::json::serialize(boost::json::string_view(text)); };
  std::string body = absl::StrCat("{\"model\":", quoted(options.model));
  if (options.endpoint != Endpoint::kChat) {
    absl::StrAppend(&body, ",\"prompt\":",
                    prompt.ids.empty() ? quoted(prompt.text) : absl::StrCat("[", absl::StrJoin(prompt.ids, ","), "]"));
  } else {
    absl::StrAppend(&body, ",\"messages\":",
                    prompt.messages_json.empty()
                        ? absl::StrCat("[{\"role\":\"user\",\"content\":", quoted(prompt.text), "}]")
                        : prompt.messages_json);
  }
  absl::StrAppend(&body, ",\"max_tokens\":", prompt.max_tokens, ",\"seed\":", prompt.seed);
  if (!options.stop_at_eos) absl::StrAppend(&body, ",\"ignore_eos\":true");
  if (options.temperature >= 0) absl::StrAppend(&body, ",\"temperature\":", options.temperature);
  if (options.top_p >= 0) absl::StrAppend(&body, ",\"top_p\":", options.top_p);
  absl::StrAppend(&body, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
  return body;
}

}  // namespace swiftlet::bench
