#include "services/text/decode/tool_call_parser.h"

#include <algorithm>

namespace swiftlet {
namespace {

constexpr std::string_view kSpace = " \t\n\r";

bool IsSpace(char c) {
  return kSpace.find(c) != std::string_view::npos;
}

std::string Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(kSpace) + 1 - first));
}

std::string Quoted(const std::string& key) {
  return '"' + key + '"';
}

}  // namespace

ToolCallParser::ToolCallParser(const ToolCallFormat& format)
    : format_(format),
      begin_tag_(Trimmed(format.begin)),
      end_tag_(Trimmed(format.end)),
      name_key_(Quoted(format.name_key)),
      arguments_key_(Quoted(format.arguments_key)),
      state_(begin_tag_.empty() ? State::kStart : State::kText) {}

void ToolCallParser::Push(std::string_view text, std::string& answer, std::vector<ToolCallPiece>& calls) {
  while (!text.empty()) {
    if (state_ == State::kPlain) {
      answer.append(text);
      return;
    }
    if (state_ == State::kText && held_.empty()) {  // most of an answer
      const auto first =
          std::find_if(text.begin(), text.end(), [&](char c) { return c == begin_tag_[0] || IsSpace(c); });
      const auto length = static_cast<size_t>(first - text.begin());
      answer.append(text.substr(0, length));
      text.remove_prefix(length);
      if (text.empty()) return;
    }
    Take(text.front(), answer, calls);
    text.remove_prefix(1);
  }
}

void ToolCallParser::Flush(std::string& answer) {
  // Of a call with a name everything has been told; what is held is its end, whole or not. So is white space behind it.
  const bool of_call =
      in_call_ || state_ == State::kEndTag || (num_calls_ > 0 && held_.find_first_not_of(kSpace) == std::string::npos);
  if (!of_call) answer += held_;
  held_.clear();
}

void ToolCallParser::Take(char c, std::string& answer, std::vector<ToolCallPiece>& calls) {
  switch (state_) {
    case State::kStart:
      if (c == '{') {
        state_ = State::kOpenBrace;
        return TakeCall(c, answer, calls);
      }
      held_ += c;
      if (!IsSpace(c)) NoCall(answer);
      return;
    case State::kText:
      return TakeText(c, answer);
    case State::kPlain:
      answer += c;
      return;
    default:
      return TakeCall(c, answer, calls);
  }
}

// held_: white space, then a part of the tag.
void ToolCallParser::TakeText(char c, std::string& answer) {
  held_ += c;
  if (c == begin_tag_[matched_]) {
    if (++matched_ < begin_tag_.size()) return;
    matched_ = 0;
    state_ = State::kOpenBrace;
    return;
  }
  if (matched_ == 0 && IsSpace(c)) return;
  // No tag here; one may begin within what is held, but not before it.
  const size_t spaces = held_.find_first_not_of(kSpace);
  size_t from = spaces;
  do {
    ++from;
    if (IsSpace(held_[from - 1])) continue;
    // The white space before `from` belongs to a tag that begins there.
    const std::string_view rest = std::string_view(held_).substr(from);
    const size_t begins = std::min(rest.find_first_not_of(kSpace), rest.size());
    const std::string_view part = rest.substr(begins);
    if (part.size() < begin_tag_.size() && begin_tag_.compare(0, part.size(), part) == 0) {
      matched_ = part.size();
      answer += held_.substr(0, from);
      held_.erase(0, from);
      return;
    }
  } while (from < held_.size());
}

bool ToolCallParser::Match(char c, std::string_view expected, State next, std::string& answer) {
  if (c != expected[matched_]) {
    NoCall(answer);
    return false;
  }
  if (++matched_ < expected.size()) return false;
  matched_ = 0;
  state_ = next;
  return true;
}

void ToolCallParser::TakeCall(char c, std::string& answer, std::vector<ToolCallPiece>& calls) {
  if (state_ == State::kArguments) return TakeArguments(c, answer, calls);
  held_ += c;
  const bool between = matched_ == 0 && state_ != State::kName;
  if (between && IsSpace(c)) return;
  switch (state_) {
    case State::kOpenBrace:
      Match(c, "{", State::kNameKey, answer);
      return;
    case State::kNameKey:
      Match(c, name_key_, State::kNameColon, answer);
      return;
    case State::kNameColon:
      if (Match(c, ":", State::kName, answer)) name_.clear();
      return;
    case State::kName:
      if (name_.empty() && IsSpace(c)) return;
      if (name_.empty() && c != '"') return NoCall(answer);
      if (c == '\\' || static_cast<unsigned char>(c) < 0x20) return NoCall(answer);  // names need no escapes
      name_ += c;
      if (c == '"' && name_.size() > 1) {
        name_ = name_.substr(1, name_.size() - 2);
        if (name_.empty()) return NoCall(answer);
        state_ = State::kComma;
      }
      return;
    case State::kComma:
      Match(c, ",", State::kArgumentsKey, answer);
      return;
    case State::kArgumentsKey:
      Match(c, arguments_key_, State::kArgumentsColon, answer);
      return;
    case State::kArgumentsColon:
      if (!Match(c, ":", State::kArguments, answer)) return;
      depth_ = 0;
      in_string_ = escaped_ = false;
      calls.push_back({.index = num_calls_++, .name = name_});
      in_call_ = true;
      held_.clear();
      return;
    case State::kCloseBrace:
      if (!Match(c, "}", State::kEndTag, answer)) return;
      in_call_ = false;  // whole, whether or not its tag comes
      if (end_tag_.empty()) EndCall();
      held_.clear();
      return;
    case State::kEndTag:
      if (Match(c, end_tag_, State::kText, answer)) EndCall();
      return;
    default:
      return;
  }
}

// A value: an object by what the grammar lets through, and any other value as well.
void ToolCallParser::TakeArguments(char c, std::string& answer, std::vector<ToolCallPiece>& calls) {
  const bool empty = depth_ == 0 && matched_ == 0;
  if (empty && IsSpace(c)) return;
  bool ended = false;  // by `c`, which belongs to it
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      ended = depth_ == 0;
    }
  } else if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (depth_ > 0 && (c == '}' || c == ']')) {
    ended = --depth_ == 0;
  } else if (depth_ == 0 && (c == '}' || c == ',' || IsSpace(c))) {  // behind a number, true, false or null
    matched_ = 0;
    state_ = State::kCloseBrace;
    return TakeCall(c, answer, calls);
  }
  if (calls.empty() || calls.back().index != num_calls_ - 1) calls.push_back({.index = num_calls_ - 1});
  calls.back().arguments += c;
  matched_ = ended ? 0 : 1;  // something has come
  if (ended) state_ = State::kCloseBrace;
}

void ToolCallParser::NoCall(std::string& answer) {
  answer += held_;
  held_.clear();
  matched_ = 0;
  in_call_ = false;
  state_ = State::kPlain;
}

void ToolCallParser::EndCall() {
  held_.clear();
  matched_ = 0;
  state_ = begin_tag_.empty() ? State::kStart : State::kText;
}

}  // namespace swiftlet
