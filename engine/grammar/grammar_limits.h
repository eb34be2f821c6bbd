// What a grammar may cost. A text that needs more is INVALID_ARGUMENT, naming the place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swiftlet {

struct GrammarLimits {
  // Of compiling. Time and memory are linear in these.
  size_t max_text_bytes = 256 << 10;  // the schema or the list of tools
  size_t max_json_depth = 64;         // nested arrays and objects of that text
  uint32_t max_nodes = 50'000;        // 16 bytes each, and 8 an edge
  uint32_t max_alternatives = 4096;   // values of all enums
  uint32_t max_properties = 2048;     // of all objects
  uint32_t max_repetition = 1024;     // a count of a pattern, {m,n}

  // Of running.
  uint32_t max_nesting = 48;         // open references, arrays and free values of a document
  size_t max_state_bytes = 4 << 20;  // states kept of one grammar; over it they are forgotten and found again
  size_t max_mask_bytes = 4 << 20;   // masks kept of one grammar, likewise
  // Of finding one mask: states may take more memory than is kept, within reason, and so much work (see StateTable).
  size_t max_walk_bytes = 64 << 20;
  uint64_t max_walk_places = 1'000'000;
};

}  // namespace swiftlet
