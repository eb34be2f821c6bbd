// From a request to what a tokenizer is asked: one place for what generates and what only counts. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string_view>

#include "services/gateway/model_directory.h"
#include "services/gateway/request/valid_request.h"
#include "services/gateway/tokenizers/tokenizer_pool.h"

namespace swiftlet {

// NOT_FOUND, or UNAVAILABLE with `retry_after_ms` while no tokenizer and worker serve it.
absl::StatusOr<std::shared_ptr<const DirectoryEntry>> FindReadyModel(const ModelDirectory& directory,
                                                                     const std::string& name, int64_t retry_after_ms);

// Takes the input out of `request`, which is not of token ids; its entry gets the text that it asks for. `span_id`:
// what the tokenizer is told as its parent. Without home and done.
EncodeOrder MakeEncodeOrder(ValidRequest& request, const DirectoryEntry& model, int64_t timeout_us,
                            std::string_view span_id);

}  // namespace swiftlet
