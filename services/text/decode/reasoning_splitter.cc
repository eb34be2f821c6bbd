#include "services/text/decode/reasoning_splitter.h"

namespace swiftlet {
namespace {

std::vector<size_t> Borders(std::string_view text) {
  std::vector<size_t> borders(text.size(), 0);
  for (size_t i = 1; i < text.size(); ++i) {
    size_t length = borders[i - 1];
    while (length > 0 && text[length] != text[i]) length = borders[length - 1];
    borders[i] = text[length] == text[i] ? length + 1 : 0;
  }
  return borders;
}

}  // namespace

ReasoningSplitter::ReasoningSplitter(const ReasoningTags& tags, bool starts_in_reasoning)
    : tags_(tags),
      state_(tags.open.empty() || tags.close.empty() ? State::kAnswer : State::kStart),
      primed_(starts_in_reasoning) {
  if (state_ == State::kStart) close_fallbacks_ = Borders(tags.close);
}

void ReasoningSplitter::TakeStart(std::string_view& text, std::string& answer) {
  while (!text.empty()) {
    const char c = text.front();
    if (c == tags_.open[tag_length_]) {
      start_.push_back(c);
      text.remove_prefix(1);
      if (++tag_length_ < tags_.open.size()) continue;
      start_.clear();
      tag_length_ = 0;
      state_ = State::kReasoning;
      return;
    }
    if (tag_length_ == 0 && (c == '\n' || c == ' ')) {
      start_.push_back(c);
      text.remove_prefix(1);
      continue;
    }
    // No tag after all. Reasoning looks at what was held back again, for a close tag.
    tag_length_ = 0;
    if (primed_) {
      state_ = State::kReasoning;
    } else {
      answer.append(start_);
      start_.clear();
      state_ = State::kAnswer;
    }
    return;
  }
}

void ReasoningSplitter::ReleaseLineFeeds(std::string& reasoning) {
  reasoning.append(line_feeds_, '\n');
  line_feeds_ = 0;
}

void ReasoningSplitter::TakeReasoning(std::string_view& text, std::string& reasoning) {
  const std::string& tag = tags_.close;
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    while (tag_length_ > 0 && tag[tag_length_] != c) {
      const size_t shorter = close_fallbacks_[tag_length_ - 1];
      ReleaseLineFeeds(reasoning);
      reasoning.append(tag, 0, tag_length_ - shorter);
      dropping_line_feeds_ = false;
      tag_length_ = shorter;
    }
    if (tag[tag_length_] == c) {
      ++i;
      if (++tag_length_ < tag.size()) continue;
      tag_length_ = 0;
      line_feeds_ = 0;
      state_ = State::kClosed;
      text.remove_prefix(i);
      return;
    }
    if (c == '\n') {
      ++i;
      if (!dropping_line_feeds_) ++line_feeds_;
      continue;
    }
    ReleaseLineFeeds(reasoning);
    dropping_line_feeds_ = false;
    const size_t begin = i;
    while (i < text.size() && text[i] != '\n' && text[i] != tag.front()) ++i;
    reasoning.append(text.substr(begin, i - begin));
  }
  text = {};
}

void ReasoningSplitter::Push(std::string_view text, std::string& reasoning, std::string& answer) {
  std::string joined;
  if (state_ == State::kStart) {
    TakeStart(text, answer);
    if (state_ == State::kReasoning && !start_.empty()) {
      joined = std::move(start_);
      start_.clear();
      joined.append(text);
      text = joined;
    }
  }
  if (state_ == State::kReasoning) TakeReasoning(text, reasoning);
  if (state_ == State::kClosed) {
    while (!text.empty() && text.front() == '\n') text.remove_prefix(1);
    if (!text.empty()) state_ = State::kAnswer;
  }
  if (state_ == State::kAnswer) answer.append(text);
}

void ReasoningSplitter::Flush(std::string& reasoning, std::string& answer) {
  if (state_ == State::kStart && !primed_) {
    answer.append(start_);
    state_ = State::kAnswer;
  } else if (state_ == State::kStart) {
    state_ = State::kReasoning;
    tag_length_ = 0;
    std::string_view held = start_;
    TakeReasoning(held, reasoning);
  }
  start_.clear();
  if (state_ == State::kReasoning) {
    ReleaseLineFeeds(reasoning);
    reasoning.append(tags_.close, 0, tag_length_);
    tag_length_ = 0;
  }
}

}  // namespace swiftlet
