// The tokenizer part of a golden folder: files of rows {"text", "ids"} with, where given, the text that the ids decode
// to.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include <boost/json/fwd.hpp>

namespace swiftlet {

// `entry`: a member of index.json's "tokenizers"; its paths are relative to `folder`. Prints the result; false when a
// row differs. An error is a file that cannot be read.
absl::StatusOr<bool> CheckTokenizerRows(const std::string& folder, const boost::json::value& entry);

}  // namespace swiftlet
