#include "services/text/encode/normalizer.h"

#include <absl/strings/str_cat.h>
#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/byte_alphabet.h"
#include "services/text/encode/json_fields.h"
#include "services/text/encode/text_pattern.h"
#include "services/text/encode/unicode.h"
#include "services/text/encode/unicode_form.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

// Builds the text that replaces `source`, with its authorship.
class Rewriter {
 public:
  explicit Rewriter(AuthoredText& source) : source_(source) { result_.tracks_trust = source.tracks_trust; }

  // source[begin, end) as it is.
  void Keep(size_t begin, size_t end) {
    result_.text.append(source_.text, begin, end - begin);
    if (source_.tracks_trust) {
      result_.trust.insert(result_.trust.end(), source_.trust.begin() + static_cast<std::ptrdiff_t>(begin),
                           source_.trust.begin() + static_cast<std::ptrdiff_t>(end));
    }
  }
  // `text` in the place of source[begin, end), trusted only if all of that was.
  void Put(std::string_view text, size_t begin, size_t end) {
    result_.text.append(text);
    if (source_.tracks_trust) {
      const auto first = source_.trust.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = source_.trust.begin() + static_cast<std::ptrdiff_t>(end);
      result_.trust.insert(result_.trust.end(), text.size(), std::find(first, last, false) == last);
    }
  }
  void Finish() { source_ = std::move(result_); }

 private:
  AuthoredText& source_;
  AuthoredText result_;
};

class UnicodeStep : public NormalizerStep {
 public:
  explicit UnicodeStep(UnicodeForm::Form form) : form_(form) {}
  bool Keeps(std::string_view text) const override { return form_.IsNormal(text); }
  absl::Status Apply(AuthoredText& text, RegexScratch&) const override {
    if (form_.IsNormal(text.text)) return absl::OkStatus();
    AuthoredText result;
    result.tracks_trust = text.tracks_trust;
    result.text.reserve(text.text.size());
    form_.Apply(text.text, text.tracks_trust ? &text.trust : nullptr, result.text, &result.trust);
    text = std::move(result);
    return absl::OkStatus();
  }

 private:
  UnicodeForm form_;
};

class PrependStep : public NormalizerStep {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}
  bool Keeps(std::string_view text) const override { return text.empty() || prefix_.empty(); }
  absl::Status Apply(AuthoredText& text, RegexScratch&) const override {
    if (Keeps(text.text)) return absl::OkStatus();
    text.text.insert(0, prefix_);
    if (text.tracks_trust) text.trust.insert(text.trust.begin(), prefix_.size(), text.trust[0]);
    return absl::OkStatus();
  }

 private:
  std::string prefix_;
};

class ReplaceStep : public NormalizerStep {
 public:
  ReplaceStep(TextPattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  bool Keeps(std::string_view text) const override { return text.empty() || pattern_.SurelyAbsent(text); }
  absl::Status Apply(AuthoredText& text, RegexScratch& scratch) const override {
    if (Keeps(text.text)) return absl::OkStatus();
    Rewriter rewriter(text);
    size_t done = 0;
    RETURN_IF_ERROR(pattern_.ForEachMatch(text.text, scratch, [&](size_t begin, size_t end) {
      rewriter.Keep(done, begin);
      rewriter.Put(content_, begin, end);
      done = end;
    }));
    rewriter.Keep(done, text.text.size());
    rewriter.Finish();
    return absl::OkStatus();
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

// Lower case by Unicode's simple mapping, and U+0130, the one character whose lower case is longer.
class LowercaseStep : public NormalizerStep {
 public:
  bool Keeps(std::string_view text) const override { return text.empty(); }
  absl::Status Apply(AuthoredText& text, RegexScratch&) const override {
    Rewriter rewriter(text);
    std::string lower;
    for (size_t at = 0; at < text.text.size();) {
      const DecodedCharacter character = DecodeUtf8(text.text.data() + at);
      const size_t end = at + static_cast<size_t>(character.length);
      lower.clear();
      if (character.codepoint == 0x130) {
        lower = "i\xCC\x87";
      } else {
        AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character.codepoint))), lower);
      }
      rewriter.Put(lower, at, end);
      at = end;
    }
    rewriter.Finish();
    return absl::OkStatus();
  }
};

class StripStep : public NormalizerStep {
 public:
  StripStep(bool left, bool right) : left_(left), right_(right) {}
  bool Keeps(std::string_view text) const override { return text.empty(); }
  absl::Status Apply(AuthoredText& text, RegexScratch&) const override {
    size_t begin = 0;
    size_t end = text.text.size();
    while (left_ && begin < end) {
      const DecodedCharacter character = DecodeUtf8(text.text.data() + begin);
      if (!IsWhiteSpace(character.codepoint)) break;
      begin += static_cast<size_t>(character.length);
    }
    while (right_ && end > begin) {
      const size_t previous = PreviousCharacter(text.text, end);
      if (!IsWhiteSpace(DecodeUtf8(text.text.data() + previous).codepoint)) break;
      end = previous;
    }
    Rewriter rewriter(text);
    rewriter.Keep(begin, end);
    rewriter.Finish();
    return absl::OkStatus();
  }

 private:
  bool left_;
  bool right_;
};

class ByteLevelStep : public NormalizerStep {
 public:
  bool Keeps(std::string_view text) const override { return text.empty(); }
  absl::Status Apply(AuthoredText& text, RegexScratch&) const override {
    Rewriter rewriter(text);
    std::string spelling;
    for (size_t at = 0; at < text.text.size(); ++at) {
      spelling.clear();
      AppendSpellingOfBytes(std::string_view(text.text).substr(at, 1), spelling);
      rewriter.Put(spelling, at, at + 1);
    }
    rewriter.Finish();
    return absl::OkStatus();
  }
};

using Steps = std::vector<std::unique_ptr<NormalizerStep>>;

absl::Status AppendSteps(const json::value& description, const std::string& path, Steps& steps) {
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(description, path));
  ASSIGN_OR_RETURN(const std::string_view type, fields.String("type"));
  if (type == "Sequence") {
    ASSIGN_OR_RETURN(const json::array* members, fields.Array("normalizers"));
    for (size_t i = 0; i < members->size(); ++i) {
      RETURN_IF_ERROR(AppendSteps((*members)[i], absl::StrCat(path, ".normalizers[", i, "]"), steps));
    }
  } else if (type == "NFC") {
    steps.push_back(std::make_unique<UnicodeStep>(UnicodeForm::Form::kNfc));
  } else if (type == "NFD") {
    steps.push_back(std::make_unique<UnicodeStep>(UnicodeForm::Form::kNfd));
  } else if (type == "NFKC") {
    steps.push_back(std::make_unique<UnicodeStep>(UnicodeForm::Form::kNfkc));
  } else if (type == "NFKD") {
    steps.push_back(std::make_unique<UnicodeStep>(UnicodeForm::Form::kNfkd));
  } else if (type == "Prepend") {
    ASSIGN_OR_RETURN(const std::string_view prefix, fields.String("prepend"));
    steps.push_back(std::make_unique<PrependStep>(std::string(prefix)));
  } else if (type == "Replace") {
    ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Create(fields));
    ASSIGN_OR_RETURN(const std::string_view content, fields.String("content"));
    steps.push_back(std::make_unique<ReplaceStep>(std::move(pattern), std::string(content)));
  } else if (type == "Lowercase") {
    steps.push_back(std::make_unique<LowercaseStep>());
  } else if (type == "Strip") {
    ASSIGN_OR_RETURN(const bool left, fields.Bool("strip_left", true));
    ASSIGN_OR_RETURN(const bool right, fields.Bool("strip_right", true));
    steps.push_back(std::make_unique<StripStep>(left, right));
  } else if (type == "ByteLevel") {
    steps.push_back(std::make_unique<ByteLevelStep>());
  } else {
    return absl::UnimplementedError(absl::StrCat(fields.PathOf("type"), ": normalizer \"", ToAbsl(type),
                                                 "\" is not supported (NFC, NFD, NFKC, NFKD, Prepend, Replace, "
                                                 "Lowercase, Strip, ByteLevel, Sequence are)"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Normalizer> Normalizer::Create(const json::value& description) {
  Normalizer normalizer;
  if (!description.is_null()) RETURN_IF_ERROR(AppendSteps(description, "normalizer", normalizer.steps_));
  return normalizer;
}

bool Normalizer::Keeps(std::string_view text) const {
  return std::all_of(steps_.begin(), steps_.end(), [&](const auto& step) { return step->Keeps(text); });
}

absl::Status Normalizer::Apply(AuthoredText& text, RegexScratch& scratch) const {
  for (const auto& step : steps_) RETURN_IF_ERROR(step->Apply(text, scratch));
  return absl::OkStatus();
}

}  // namespace swiftlet
