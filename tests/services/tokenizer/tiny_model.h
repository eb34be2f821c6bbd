// A model directory made for a test: a byte-level tokenizer without merges, two markup tokens, a chat template.
#pragma once

#include <string>

namespace swiftlet::tests {

// Writes `content` to `path`.
void WriteFile(const std::string& path, const std::string& content);

// Fills a fresh directory below the test's own and returns its path. Ids: 256 bytes, then <|m|> 256, <|e|> 257,
// <think> 258, </think> 259.
std::string WriteTinyModel(const std::string& name);

}  // namespace swiftlet::tests
