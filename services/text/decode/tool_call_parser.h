// Takes calls of tools out of the answer of a choice as it comes. Pure: however the text is cut, the pieces join to the
// same calls and the same text. One per choice of a request with tools; its Generation owns it and calls it on its home
// executor.
//
//   Hermes, Qwen: text, then <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>, calls a new line apart
//   Llama 3:      {"name": "f", "parameters": {...}} and nothing else, or text
//
// The worker's grammar lets a model write nothing else. Where an answer is something else nevertheless, all of it
// reaches the caller: what is no call is text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

// How a model writes a call; shared by the choices of a request.
struct ToolCallFormat {
  std::string begin = {};      // before the object; empty: an answer that opens with a brace is a call
  std::string end = {};        // after it; white space at the ends of both counts for nothing
  std::string separator = {};  // between two calls
  std::string name_key = "name";
  std::string arguments_key = "arguments";
  bool allows_several = true;
};

// What was added to one call.
struct ToolCallPiece {
  int32_t index = 0;           // of the call in its answer
  std::string id = {};         // given by the caller of the parser
  std::string name = {};       // in the call's first piece, empty in all others
  std::string arguments = {};  // JSON text as the model wrote it
};

class ToolCallParser {
 public:
  // `format` outlives the parser.
  explicit ToolCallParser(const ToolCallFormat& format);

  // Appends what `text` adds to the text and to the calls of the answer. White space before a call is no text.
  void Push(std::string_view text, std::string& answer, std::vector<ToolCallPiece>& calls);
  // No text follows: what was held back is text after all.
  void Flush(std::string& answer);

  // Calls that have a name.
  int32_t num_calls() const { return num_calls_; }
  // There are calls, and the last of them is whole.
  bool complete() const { return num_calls_ > 0 && !in_call_; }

 private:
  enum class State {
    kStart,  // nothing but white space: a format without a tag may begin here
    kText,   // a tag may come
    kPlain,  // nothing may come
    // A call, by what is expected next; white space before it is skipped.
    kOpenBrace,
    kNameKey,
    kNameColon,
    kName,
    kComma,
    kArgumentsKey,
    kArgumentsColon,
    kArguments,
    kCloseBrace,
    kEndTag,
  };
  void Take(char c, std::string& answer, std::vector<ToolCallPiece>& calls);
  void TakeText(char c, std::string& answer);
  void TakeCall(char c, std::string& answer, std::vector<ToolCallPiece>& calls);
  void TakeArguments(char c, std::string& answer, std::vector<ToolCallPiece>& calls);
  // True when `expected` has come whole, and goes on to `next`; what comes instead makes it no call.
  bool Match(char c, std::string_view expected, State next, std::string& answer);
  void NoCall(std::string& answer);
  void EndCall();

  const ToolCallFormat& format_;
  const std::string begin_tag_;  // without white space at its ends
  const std::string end_tag_;
  const std::string name_key_;  // as JSON
  const std::string arguments_key_;
  State state_;
  std::string held_;    // text that may be white space before a call, a tag, or a call without a name yet
  size_t matched_ = 0;  // of what is expected
  std::string name_;
  int depth_ = 0;  // of brackets in the arguments
  bool in_string_ = false;
  bool escaped_ = false;
  bool in_call_ = false;  // it has a name
  int32_t num_calls_ = 0;
};

}  // namespace swiftlet
