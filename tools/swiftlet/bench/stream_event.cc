#include "tools/swiftlet/bench/stream_event.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <system_error>

#include "engine/base/strict_json.h"

namespace swiftlet::bench {
namespace {

constexpr int kMaxDepth = 64;
// Of choices[].delta, choices[].delta.tool_calls[].function and choices[].
constexpr std::array<std::string_view, 7> kTextKeys = {"content",   "text", "reasoning_content", "reasoning", "refusal",
                                                       "arguments", "name"};

class Walk {
 public:
  explicit Walk(std::string_view json) : at_(json.data()), end_(json.data() + json.size()) {}

  std::optional<StreamEvent> Run() {
    if (Peek() != '{' || !Object(Place::kTop, 0)) return std::nullopt;
    SkipSpace();
    return at_ == end_ ? std::optional(event_) : std::nullopt;
  }

 private:
  enum class Place { kTop, kChoices, kUsage, kElsewhere };

  void SkipSpace() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  char Peek() {
    SkipSpace();
    return at_ < end_ ? *at_ : '\0';
  }
  bool Take(char wanted) {
    if (Peek() != wanted) return false;
    ++at_;
    return true;
  }

  // The bytes between the quotes; escapes stay as they are.
  bool String(std::string_view* inside) {
    if (!Take('"')) return false;
    const char* const begin = at_;
    while (true) {
      const std::string_view rest(at_, static_cast<size_t>(end_ - at_));
      const size_t quote = rest.find('"');
      if (quote == std::string_view::npos) return false;
      const size_t backslash = rest.substr(0, quote).find('\\');
      if (backslash == std::string_view::npos) {
        *inside = std::string_view(begin, static_cast<size_t>(at_ + quote - begin));
        at_ += quote + 1;
        return true;
      }
      at_ += std::min(backslash + 2, rest.size());  // and what it escapes
    }
  }

  bool Object(Place place, int depth) {
    if (depth > kMaxDepth || !Take('{')) return false;
    if (Take('}')) return true;
    do {
      std::string_view key;
      if (!String(&key) || !Take(':')) return false;
      std::string unescaped;
      if (key.find('\\') != std::string_view::npos) {
        const auto value = ParseStrictJson('"' + std::string(key) + '"');
        if (!value.ok()) return false;
        unescaped = std::string(value->as_string());
        key = unescaped;
      }
      if (!Member(place, key, depth)) return false;
    } while (Take(','));
    return Take('}');
  }

  bool Member(Place place, std::string_view key, int depth) {
    const char first = Peek();
    if (place == Place::kTop) {
      if (key == "choices") return Value(Place::kChoices, depth + 1);
      if (key == "error" && first != 'n') event_.has_error = true;
      if (key == "usage" && first == '{') {
        event_.has_usage = true;
        return Value(Place::kUsage, depth + 1);
      }
    } else if (place == Place::kChoices && first == '"') {
      std::string_view text;
      if (!String(&text)) return false;
      if (!text.empty() && std::find(kTextKeys.begin(), kTextKeys.end(), key) != kTextKeys.end())
        event_.has_text = true;
      return true;
    } else if (place == Place::kUsage) {
      int64_t* const count = key == "prompt_tokens"       ? &event_.prompt_tokens
                             : key == "completion_tokens" ? &event_.completion_tokens
                             : key == "cached_tokens"     ? &event_.cached_tokens
                                                          : nullptr;
      if (count != nullptr) ReadCount(count);
    }
    // Log-probabilities name every token again: no text of the answer.
    const bool inside = (place == Place::kChoices && key != "logprobs") || place == Place::kUsage;
    return Value(inside ? place : Place::kElsewhere, depth + 1);
  }

  // What no answer can have counts as not said: sums of all answers' must hold.
  void ReadCount(int64_t* count) const {
    int32_t read = 0;
    if (std::from_chars(at_, end_, read).ec == std::errc() && read >= 0) *count = read;
  }

  bool Value(Place place, int depth) {
    switch (Peek()) {
      case '{':
        return Object(place, depth);
      case '[':
        return Array(place, depth);
      case '"': {
        std::string_view ignored;
        return String(&ignored);
      }
      default:
        return Scalar();
    }
  }

  bool Array(Place place, int depth) {
    if (depth > kMaxDepth || !Take('[')) return false;
    if (Take(']')) return true;
    do {
      if (!Value(place, depth + 1)) return false;
    } while (Take(','));
    return Take(']');
  }

  // A number, true, false or null.
  bool Scalar() {
    const char* const begin = at_;
    while (at_ < end_ && (std::string_view("+-.eE").find(*at_) != std::string_view::npos ||
                          (*at_ >= '0' && *at_ <= '9') || (*at_ >= 'a' && *at_ <= 'z'))) {
      ++at_;
    }
    return at_ > begin;
  }

  const char* at_;
  const char* const end_;
  StreamEvent event_;
};

}  // namespace

std::optional<StreamEvent> ReadStreamEvent(std::string_view json) {
  return Walk(json).Run();
}

}  // namespace swiftlet::bench
