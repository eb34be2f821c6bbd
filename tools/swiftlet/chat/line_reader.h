// What the person types, line by line: with editing and history (libedit) at a terminal, plain from a pipe or a file.
// One thread.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "tools/swiftlet/chat/interrupts.h"

namespace swiftlet {

struct InputLine {
  enum class Kind { kText, kInterrupted, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  // without its line feed
};

class LineReader {
 public:
  // `prompts` takes the prompt and the echo; `interrupts` outlives the reader.
  static std::unique_ptr<LineReader> AtTerminal(std::FILE* prompts, Interrupts& interrupts);
  static std::unique_ptr<LineReader> Plain();
  virtual ~LineReader() = default;

  virtual InputLine Read(const std::string& prompt) = 0;
};

}  // namespace swiftlet
