#include "tools/swiftlet/bench/prompts.h"

#include <array>
#include <random>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace swiftlet::bench {
namespace {

constexpr std::array<std::string_view, 24> kWords = {
    "river", "seven", "paper", "light", "count", "green", "north", "stone", "apple", "music", "cloud", "train",
    "house", "plant", "quiet", "sugar", "table", "water", "field", "glass", "month", "story", "voice", "wheel"};

int32_t Draw(std::mt19937_64& random, const LengthRange& range) {
  // Not std::uniform_int_distribution: its results differ between standard libraries.
  return range.low + static_cast<int32_t>(random() % static_cast<uint64_t>(range.high - range.low + 1));
}

}  // namespace

std::string RequestBody(const Options& options, int64_t index) {
  std::mt19937_64 random(options.seed * 0x9e3779b97f4a7c15ULL + static_cast<uint64_t>(index));
  boost::json::object body;
  body["model"] = options.model;
  const int32_t input_tokens = Draw(random, options.input_tokens);
  const int32_t output_tokens = Draw(random, options.output_tokens);
  if (options.chat) {
    std::string text;
    for (int32_t i = 0; i < input_tokens; ++i) {
      if (i > 0) text += ' ';
      text += kWords[random() % kWords.size()];
    }
    body["messages"] = boost::json::array{boost::json::object{{"role", "user"}, {"content", text}}};
  } else {
    boost::json::array ids;
    for (int32_t i = 0; i < input_tokens; ++i) {
      ids.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(options.vocabulary_size)));
    }
    body["prompt"] = std::move(ids);
  }
  body["max_tokens"] = output_tokens;
  if (!options.stop_at_eos) body["ignore_eos"] = true;
  if (options.temperature >= 0) body["temperature"] = options.temperature;
  if (options.top_p >= 0) body["top_p"] = options.top_p;
  body["seed"] = static_cast<int64_t>(random() >> 1);
  body["stream"] = true;
  body["stream_options"] = boost::json::object{{"include_usage", true}};
  return boost::json::serialize(body);
}

}  // namespace swiftlet::bench
