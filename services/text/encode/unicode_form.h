// The four Unicode normalisation forms, on utf8proc's data, in linear time. Const once built, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/added_tokens.h"

namespace swiftlet {

class UnicodeForm {
 public:
  enum class Form { kNfc, kNfd, kNfkc, kNfkd };
  explicit UnicodeForm(Form form);

  // Whether `text` (valid UTF-8) surely is in the form already; a false answer may be wrong.
  bool IsNormal(std::string_view text) const { return FirstUnsafe(text, 0) == text.size(); }

  // Appends the form of `text` to `out`. Where `trust` is given, trust[i] says who wrote text[i], and *out_trust gets
  // one flag for each byte appended: what came out of a sequence is trusted only if all of the sequence was.
  void Apply(std::string_view text, const std::vector<bool>* trust, std::string& out,
             std::vector<bool>* out_trust) const;

 private:
  // A safe character is its own form and does not interact with what stands before it.
  bool IsSafe(char32_t codepoint) const { return codepoint < kTabulated && safe_[codepoint]; }
  size_t FirstUnsafe(std::string_view text, size_t from) const;
  void Normalize(std::string_view sequence, std::string& out) const;

  static constexpr char32_t kTabulated = 0x30000;

  Form form_;
  std::vector<bool> safe_;
};

}  // namespace swiftlet
