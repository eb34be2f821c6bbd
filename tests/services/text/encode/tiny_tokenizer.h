// Small tokenizer.json documents for tests: a byte-level vocabulary that has every byte, and what a test adds to it.
#pragma once

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/text/encode/byte_alphabet.h"
#include "services/text/encode/tokenizer_json.h"

namespace swiftlet {

struct TinyTokenizerJson {
  std::string normalizer = "null";
  std::string pre_tokenizer =
      R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":" ?\\p{L}+|\\s+(?!\\S)|\\s+|[^\\s\\p{L}]+"},)"
      R"("behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})";
  std::string post_processor = "null";
  std::string decoder = R"({"type":"ByteLevel"})";
  std::string added_tokens;    // objects, separated by commas
  std::string model_settings;  // "\"ignore_merges\": true,"
  // Merges in order, sides spelled in the byte alphabet; each adds a token with the next id from 256.
  std::vector<std::pair<std::string, std::string>> merges;

  std::string Text() const {
    std::string vocab;
    std::string rules;
    int id = 0;
    for (; id < 256; ++id) {
      std::string spelling;
      const char byte = static_cast<char>(id);
      AppendSpellingOfBytes(std::string_view(&byte, 1), spelling);
      if (spelling == "\"" || spelling == "\\") spelling.insert(0, "\\");
      absl::StrAppend(&vocab, id == 0 ? "" : ",", "\"", spelling, "\":", id);
    }
    for (const auto& [left, right] : merges) {
      absl::StrAppend(&vocab, ",\"", left, right, "\":", id++);
      absl::StrAppend(&rules, rules.empty() ? "" : ",", "\"", left, " ", right, "\"");
    }
    return absl::StrCat(R"({"version":"1.0","added_tokens":[)", added_tokens, R"(],"normalizer":)", normalizer,
                        R"(,"pre_tokenizer":)", pre_tokenizer, R"(,"post_processor":)", post_processor,
                        R"(,"decoder":)", decoder, R"(,"model":{"type":"BPE",)", model_settings, R"("vocab":{)", vocab,
                        R"(},"merges":[)", rules, "]}}");
  }
};

inline std::unique_ptr<Tokenizer> MakeTokenizer(const TinyTokenizerJson& json, const TokenizerConfig& config = {}) {
  auto tokenizer = ParseTokenizerJson(json.Text(), config);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

inline std::vector<int32_t> Encode(const Tokenizer& tokenizer, const std::vector<TextSegment>& segments,
                                   bool add_special_tokens = false) {
  auto ids = tokenizer.Encode(segments, {.add_special_tokens = add_special_tokens});
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.ok() ? *std::move(ids) : std::vector<int32_t>();
}

inline std::vector<int32_t> EncodeUser(const Tokenizer& tokenizer, std::string_view text) {
  return Encode(tokenizer, {{text, false}});
}

inline std::vector<int32_t> EncodeTemplate(const Tokenizer& tokenizer, std::string_view text) {
  return Encode(tokenizer, {{text, true}});
}

}  // namespace swiftlet
