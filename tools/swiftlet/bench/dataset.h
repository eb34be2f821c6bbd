// Prompts and lengths from a file, taken in its order, from the beginning again when there are no more. Read before the
// run, then immutable, any thread. A line is a JSON object with any of
//   "prompt": text                            or "messages": a conversation (chat alone)
//   "prompt_token_ids": [ids]                 or "conversations": ShareGPT's, of which the first "value" is the prompt
//   "input_tokens", "input_length": N         length of a prompt that is made up
//   "output_tokens", "output_length", "max_tokens": N
// Other keys are not looked at. A file that is one JSON array has such objects as elements.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet::bench {

struct DatasetEntry {
  std::string text;
  std::vector<int32_t> ids;
  std::string messages_json;
  int32_t input_tokens = 0;  // 0: not said, as --input-tokens draws
  int32_t output_tokens = 0;
};

using Dataset = std::vector<DatasetEntry>;

// What the entries may have: ids where `token_ids`, else text; messages where `chat`.
struct DatasetUse {
  bool chat = false;
  bool token_ids = false;
};

// Errors name the file, the line (or the element) and the key.
absl::StatusOr<Dataset> ReadDataset(const std::string& path, const DatasetUse& use);
absl::StatusOr<Dataset> ParseDataset(std::string_view text, const DatasetUse& use);

}  // namespace swiftlet::bench
