// The model part of a golden folder: logits and greedy tokens of each case, on the float32 oracle and on the kernels
// that serve, or on those of a GPU; whole and in chunks, cold and from the prefix cache, alone and 32 at a time.
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace swiftlet {

// `model`: a member of index.json's "models", relative to `folder`. Prints a line for each backend; false when a case
// differs. A quantised model is reported as not served yet and passes. An error is a model that cannot be read.
absl::StatusOr<bool> CheckModelCases(const std::string& folder, const std::string& model, bool on_gpu);

}  // namespace swiftlet
