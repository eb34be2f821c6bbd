// The body of a POST to the OpenAI routes: it becomes requests that pass the validator, or an error of the caller's.
// Input: a byte (bit 0: completions, bit 1: strict), the body.
#include <absl/status/status.h>

#include <string>
#include <vector>

#include "engine/base/check.h"
#include "services/common/limits.h"
#include "services/gateway/openai/openai_request.h"
#include "services/gateway/request/validator.h"
#include "tests/fuzz/callers_error.h"
#include "tests/fuzz/input.h"

namespace swiftlet {
namespace {

const std::vector<Generator::ServedModel>& Models() {
  static const auto* const models =
      new std::vector<Generator::ServedModel>{{.name = "tiny", .max_model_len = 4096, .ready = true}};
  return *models;
}

absl::Status Read(std::string_view body, ParameterRoute route, bool strict) {
  const auto request = ParseOpenAiRequest(body, route, strict);
  if (!request.ok()) return request.status();
  CHECK(!request->generations.empty());
  int64_t choices = 0;
  for (const ValidRequest& generation : request->generations) {
    const absl::Status status = Validate(generation, kOpenAiNames, Models());
    if (!status.ok()) return status;
    choices += generation.num_choices;
  }
  CHECK(choices <= limits::kMaxChoices) << choices;
  return absl::OkStatus();
}

}  // namespace

void fuzz::RunOne(Input input) {
  const uint8_t how = input.Byte();
  const absl::Status status = Read(input.rest(), (how & 1) != 0 ? kCompletionsRoute : kChatRoute, (how & 2) != 0);
  if (!status.ok()) CheckCallersError(status, {400, 404, 413});
}

}  // namespace swiftlet
