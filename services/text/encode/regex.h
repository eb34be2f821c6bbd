// A compiled pattern of a tokenizer.json: written in Oniguruma's dialect, run by PCRE2's JIT.
// A Regex is const and shared by all threads; each thread brings its own RegexScratch.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;
struct pcre2_real_jit_stack_8;

namespace swiftlet {

// Match results and the JIT's stack. One thread at a time.
class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;

  // Gives back what a long text has made the JIT's stack grow to.
  void ShrinkStack();

 private:
  friend class Regex;
  pcre2_real_match_data_8* match_data_;
  pcre2_real_match_context_8* context_;
  pcre2_real_jit_stack_8* jit_stack_;
};

class Regex {
 public:
  // INVALID_ARGUMENT or UNIMPLEMENTED, naming what is wrong with `pattern` and where.
  static absl::StatusOr<Regex> Compile(std::string_view pattern);

  enum class Outcome { kMatch, kNoMatch, kGaveUp };  // kGaveUp: the pattern backtracks too much on this text
  // The leftmost match in `subject` (valid UTF-8) that begins at or after `start`, a character's first byte.
  Outcome Find(std::string_view subject, size_t start, RegexScratch& scratch, size_t* match_begin,
               size_t* match_end) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
  };
  explicit Regex(pcre2_real_code_8* code) : code_(code) {}

  std::unique_ptr<pcre2_real_code_8, Free> code_;
};

// `pattern` spelled for PCRE2, where the two dialects differ; exposed for its test.
absl::StatusOr<std::string> TranslateOnigurumaPattern(std::string_view pattern);

}  // namespace swiftlet
