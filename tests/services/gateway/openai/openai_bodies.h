// Bodies of the OpenAI routes, and what becomes of them before anything is asked of a generator.
#pragma once

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/gateway/openai/openai_request.h"
#include "services/gateway/request/validator.h"

namespace swiftlet {

inline std::string Chat(std::string_view more) {
  return absl::StrCat(R"({"model":"tiny","messages":[{"role":"user","content":"hi"}])", more.empty() ? "" : ",",
                      ToAbsl(more), "}");
}
inline std::string ChatOf(std::string_view messages) {
  return absl::StrCat(R"({"model":"tiny","messages":)", ToAbsl(messages), "}");
}
inline std::string Prompt(std::string_view prompt) {
  return absl::StrCat(R"({"model":"tiny","prompt":)", ToAbsl(prompt), "}");
}

inline const std::vector<Generator::ServedModel> kModels = {{.name = "tiny", .max_model_len = 100, .ready = true}};

inline absl::Status Check(std::string_view body, ParameterRoute route = kChatRoute) {
  const auto request = ParseOpenAiRequest(body, route, false);
  if (!request.ok()) return request.status();
  for (const ValidRequest& generation : request->generations) {
    const absl::Status status = Validate(generation, kOpenAiNames, kModels);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// The field at fault; "" for OK.
inline std::string Fault(std::string_view body, ParameterRoute route = kChatRoute) {
  const absl::Status status = Check(body, route);
  if (status.ok()) return "";
  EXPECT_EQ(HttpStatusCode(status), 400) << status << " " << body;
  return ErrorParam(status).value_or("no field");
}

inline ValidRequest Parse(std::string_view body, ParameterRoute route = kChatRoute) {
  auto request = ParseOpenAiRequest(body, route, true);
  EXPECT_TRUE(request.ok()) << request.status();
  return request->generations.at(0);
}

inline constexpr std::string_view kTools =
    R"("tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":)"
    R"({"type":"object","properties":{"z":{"type":"number"},"a":{}}}}},{"type":"function","function":{"name":"g-1"}}])";

inline std::string WithTools(std::string_view more) {
  return Chat(absl::StrCat(ToAbsl(kTools), more.empty() ? "" : ",", ToAbsl(more)));
}

}  // namespace swiftlet
