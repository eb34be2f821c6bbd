// Hostile text takes time in proportion to its length: 16 times the text may take at most 40 times the CPU time
// (a quadratic step would take 256 times).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "tests/services/text/encode/tiny_tokenizer.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

double CpuSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string Repeat(std::string_view unit, size_t bytes) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  return text;
}

double SecondsFor(const Tokenizer& tokenizer, const std::string& text, bool is_template) {
  double best = 1e9;
  for (int round = 0; round < 2; ++round) {
    const double start = CpuSeconds();
    const std::vector<int32_t> ids = is_template ? EncodeTemplate(tokenizer, text) : EncodeUser(tokenizer, text);
    best = std::min(best, CpuSeconds() - start);
    EXPECT_FALSE(ids.empty());
  }
  return best;
}

TEST(LinearTime, HoldsOnHostileText) {
  TinyTokenizerJson json;
  json.merges = {{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}, {"Ġ", "Ġ"}, {"ĠĠ", "ĠĠ"}, {"ä", "¸"}, {"ä¸", "Ń"}};
  json.added_tokens = R"({"id":300,"content":"<|end|>","special":true,"rstrip":true,"lstrip":true},
    {"id":301,"content":"  ","normalized":false,"rstrip":true},{"id":302,"content":"<x>","normalized":true,"single_word":true})";
  json.normalizer = R"({"type":"NFC"})";
  std::vector<std::pair<const char*, std::unique_ptr<Tokenizer>>> tokenizers;
  tokenizers.emplace_back("split", MakeTokenizer(json));
  json.pre_tokenizer = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
  tokenizers.emplace_back("byte level", MakeTokenizer(json));
  json.normalizer =
      R"({"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":" +"},"content":"  "}]})";
  tokenizers.emplace_back("normalized", MakeTokenizer(json));
  const size_t small = tests::Effort(size_t{16} << 10, size_t{4} << 10);
  const size_t large = 16 * small;
  for (const auto& [name, tokenizer] : tokenizers) {
    for (const char* unit : {"a", " ", "中", "😀", "\n", "\r\n ", " a", "<", "<|end", "<|end|> ", "\u0301",
                             "\u0316\u0301", "e\u0301", "'", "1", "ﷺ", "한", "\u1100\u1161"}) {
      for (const bool is_template : {false, true}) {
        const double few = SecondsFor(*tokenizer, Repeat(unit, small), is_template);
        const double many = SecondsFor(*tokenizer, Repeat(unit, large), is_template);
        EXPECT_LT(many, 40 * few + 0.02) << name << ", \"" << unit << "\": " << few << " s, then " << many << " s";
      }
    }
    EXPECT_FALSE(EncodeUser(*tokenizer, Repeat(" ", large) + "x").empty());
  }
  std::printf("%d bytes against %d\n", static_cast<int>(large), static_cast<int>(small));
}

}  // namespace
}  // namespace swiftlet
