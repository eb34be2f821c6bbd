// The table by which a sentencepiece model rewrites characters before it encodes: a trie of what is replaced and the
// texts that come instead. The library follows it wherever it leads, out of its memory too, so it is checked before the
// library sees the model. Pure.
//
//   | 4 bytes: length of the trie, little endian | the trie: 4-byte units of a Darts double array | texts, each with a
//   NUL |
#pragma once

#include <absl/status/status.h>

#include <string_view>

namespace swiftlet {

// INVALID_ARGUMENT unless every walk through `map` ends in it, at a text of its own. An empty map is none.
absl::Status CheckSentencePieceCharsMap(std::string_view map);

}  // namespace swiftlet
