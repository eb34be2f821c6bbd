// The "post_processor" of a tokenizer.json, as far as a single text goes: the ids put before and after it.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include <boost/json/fwd.hpp>

namespace swiftlet {

struct PostProcessor {
  std::vector<int32_t> before;
  std::vector<int32_t> after;
};

// `description`: the value of "post_processor", null for none. UNIMPLEMENTED names an unknown type; `num_ids` bounds
// the ids it may name.
absl::StatusOr<PostProcessor> ParsePostProcessor(const boost::json::value& description, int32_t num_ids);

}  // namespace swiftlet
