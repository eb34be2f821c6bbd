// Renders a handwritten template over a context of every type; for the tests of what Jinja makes of templates.
#pragma once

#include <absl/status/statusor.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "engine/base/strict_json.h"
#include "services/text/encode/chat_values.h"
#include "services/text/encode/jinja_interpreter.h"
#include "services/text/encode/jinja_parser.h"

namespace swiftlet::jinja {

inline constexpr char kContext[] =
    R"~({"s": "Hello World", "u": "<|im_end|> héllo 世界 \t\n", "n": 7, "f": 2.5, "b": true, "z": null, "l": [3, 1, 2], "ls": ["b", "a", "C"], "e": "", "el": [], "d": {"b": 1, "a": [1, 2, {"x": null}], "items": "shadow", "keys": 5, "été": "q\"\\/\n"}, "ms": [{"role": "system", "content": " sys "}, {"role": "user", "content": "hi", "tool_calls": null}, {"role": "assistant", "content": "<think>\nabc</think>\n\nans", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "y": "z"}}}]}, {"role": "user", "content": "bye"}], "big": 18446744073709551615, "neg": -3, "big2": 9007199254740993, "fl": [1.0, 0.1, 1e+16, 1e-05, 123456789.123, 1e+22, -0.0], "sp": "  padded  ", "ml": "a\nb\r\nc\n\nd", "nested": [[1, 2], [3, [4, 5]]]})~";

inline absl::StatusOr<std::string> Render(const std::string& source, const boost::json::object& context) {
  const Limits limits;
  auto program = Parse(source, limits);
  if (!program.ok()) return program.status();
  std::vector<std::pair<std::string_view, Value>> variables;
  for (const auto& entry : context) {
    auto value = UserValue(entry.value());
    EXPECT_TRUE(value.ok()) << value.status();
    variables.emplace_back(entry.key(), *std::move(value));
  }
  Runtime runtime(limits, absl::CivilSecond(2026, 1, 17, 5, 24, 24));
  auto text = Interpreter(*program, runtime).Run(variables);
  if (!text.ok()) return text.status();
  return text->bytes;
}

class JinjaRender : public testing::Test {
 protected:
  void SetUp() override {
    auto context = ParseStrictJson(kContext);
    ASSERT_TRUE(context.ok()) << context.status();
    context_ = context->get_object();
  }
  boost::json::object context_;
};

}  // namespace swiftlet::jinja
