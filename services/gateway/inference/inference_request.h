// The messages of swiftlet.v1.InferenceService to ValidRequest candidates; ranges are validator.h's. Pure; any thread.
#pragma once

#include <absl/status/statusor.h>

#include "services/gateway/generation/generation_sink.h"
#include "services/gateway/request/valid_request.h"
#include "swiftlet/v1/inference.pb.h"

namespace swiftlet {

// Without request_id and timeout_us; not validated yet.
absl::StatusOr<ValidRequest> FromGenerateRequest(const v1::GenerateRequest& request);
absl::StatusOr<ValidRequest> FromChatRequest(const v1::ChatRequest& request);
absl::StatusOr<ValidRequest> FromTokenizeRequest(const v1::TokenizeRequest& request);

// Moves `delta` to the wire.
void ToWire(ChoiceDelta&& delta, v1::Delta& wire);

}  // namespace swiftlet
