// Splits the text of a choice into reasoning and answer at the model's tags. The tags are never part of either, nor is
// a piece of one ever let out before it is known not to be a tag.
//
// The conventions, those of DeepSeek-R1 ("<think>\n" reasoning "\n</think>\n\n" answer), as its own API shows them:
//  - one reasoning section, at the start: either the prompt opened it (starts_in_reasoning), or the text begins with
//  the
//    open tag, before which only spaces and newlines may stand (they are dropped with it);
//  - an open tag that repeats the one in the prompt is dropped;
//  - line feeds right after the open tag, right before the close tag and right after it are dropped, however many;
//  - after the first close tag everything is answer, tags included;
//  - without a close tag everything is reasoning, and a partial tag at the very end is text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

// Shared by the choices of a request.
struct ReasoningTags {
  std::string open = {};   // "<think>"; both empty: no reasoning, all text is answer
  std::string close = {};  // "</think>"
};

class ReasoningSplitter {
 public:
  // `tags` outlives the splitter.
  ReasoningSplitter(const ReasoningTags& tags, bool starts_in_reasoning);

  // `text`: whole characters. Within one call reasoning comes before answer: there is one way from the one to the
  // other.
  void Push(std::string_view text, std::string& reasoning, std::string& answer);
  // No text follows: what was held back is text after all.
  void Flush(std::string& reasoning, std::string& answer);

  bool in_reasoning() const { return state_ == State::kReasoning || (state_ == State::kStart && primed_); }

 private:
  enum class State {
    kStart,      // an open tag may come; primed_ says what it is if none does
    kReasoning,  // a close tag may come
    kClosed,     // line feeds are dropped
    kAnswer,
  };
  // Each takes what it understands of `text` and leaves the rest to the next state.
  void TakeStart(std::string_view& text, std::string& answer);
  void TakeReasoning(std::string_view& text, std::string& reasoning);
  void ReleaseLineFeeds(std::string& reasoning);

  const ReasoningTags& tags_;
  State state_;
  bool primed_;                          // the prompt ended inside the reasoning
  std::string start_;                    // kStart: spaces and line feeds, then the part of the open tag that has come
  size_t tag_length_ = 0;                // bytes of the tag looked for that have come
  bool dropping_line_feeds_ = true;      // kReasoning: nothing but line feeds has come
  size_t line_feeds_ = 0;                // kReasoning: held back, before the part of the close tag
  std::vector<size_t> close_fallbacks_;  // Knuth-Morris-Pratt: longest border of each prefix of the close tag
};

}  // namespace swiftlet
