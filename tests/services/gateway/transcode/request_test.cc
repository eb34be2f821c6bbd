// Requests to the service of messaging.proto, as data: cases.json.
#include <absl/strings/str_cat.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include "engine/base/strict_json.h"
#include "services/common/errors.h"
#include "services/gateway/transcode/request_builder.h"
#include "services/gateway/transcode/response_json.h"
#include "tests/services/gateway/transcode/messaging.pb.h"
#include "tests/services/gateway/transcode/requests.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

const BindingTable& Table() {
  static const BindingTable table = tests::TableOf(*test::Text::descriptor()->file()->FindServiceByName("Messaging"));
  return table;
}

std::string Text(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? "" : std::string(value->as_string());
}

TEST(Transcoding, CasesOfTheTable) {
  const auto cases = ReadStrictJsonFile(SWIFTLET_SOURCE_DIR "/tests/services/gateway/transcode/cases.json", 1 << 20);
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_GT(cases->as_array().size(), 60u);
  for (const json::value& one : cases->as_array()) {
    const json::object& example = one.as_object();
    SCOPED_TRACE(json::serialize(one));
    const std::string target = Text(example, "target");
    const size_t mark = target.find('?');
    const std::string path = target.substr(0, mark);
    const std::string query = mark == std::string::npos ? "" : target.substr(mark + 1);
    const BindingTable::Match match = Table().Find(Text(example, "http"), path);
    if (const json::value* allowed = example.if_contains("allowed")) {
      EXPECT_EQ(match.binding, nullptr);
      EXPECT_EQ(json::value_from(match.allowed), *allowed);
      continue;
    }
    ASSERT_NE(match.binding, nullptr);
    const auto request = tests::NewRequest(*match.binding);
    const absl::Status status = BuildRequest(match, query, Text(example, "body"), *request);
    if (const json::value* param = example.if_contains("param")) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_EQ(ErrorParam(status), param->is_null() ? std::nullopt : std::optional<std::string>(param->as_string()))
          << status;
      continue;
    }
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(match.binding->method->name(), Text(example, "method"));
    const auto built = ResponseJson(*request, nullptr);
    ASSERT_TRUE(built.ok()) << built.status();
    const auto parsed = ParseStrictJson(*built);
    ASSERT_TRUE(parsed.ok()) << *built;
    EXPECT_EQ(*parsed, example.at("request")) << *built;
  }
}

// Whatever a message holds, its JSON is read back as the message.
TEST(Transcoding, ReadsWhatProtobufWrites) {
  test::Everything message;
  message.set_text("\x01\"\\\xC3\xBC");
  message.set_data(std::string("\0\xff", 2));
  message.set_large(INT64_MIN);
  message.set_larger(UINT64_MAX);
  message.set_single(std::numeric_limits<float>::denorm_min());
  message.set_real(-std::numeric_limits<double>::max());
  message.add_smalls(INT32_MIN);
  message.mutable_inner()->mutable_inner()->set_natural(UINT32_MAX);
  (*message.mutable_bias())[-3] = 0.1f;
  message.mutable_right()->set_text("x");
  message.mutable_wrapped_text()->set_value("");
  message.mutable_time()->set_seconds(1);
  message.mutable_time()->set_nanos(500);
  message.mutable_span()->set_nanos(-1);
  message.mutable_mask()->add_paths("two_words");
  message.mutable_value()->set_null_value(google::protobuf::NULL_VALUE);
  for (const bool proto_names : {false, true}) {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = proto_names;
    std::string text;
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(message, &text, options).ok());
    test::Everything read;
    const absl::Status status = BuildRequest(Table().Find("POST", "/v9"), "", text, read);
    ASSERT_TRUE(status.ok()) << status << text;
    EXPECT_EQ(read.DebugString(), message.DebugString());
  }
}

TEST(Transcoding, BoundsWhatMultipliesMemory) {
  const auto body = [](std::string_view name, char open, std::string_view entry, char close) {
    std::string text = absl::StrCat("{\"", std::string(name), "\":");
    text += open;
    for (int i = 0; i <= 1 << 16; ++i) {
      if (i > 0) text += ',';
      if (open == '{') text += absl::StrCat("\"", i, "\":");
      text += entry;
    }
    text += close;
    return text + "}";
  };
  const auto param = [](const std::string& text) {
    test::Everything read;
    return ErrorParam(BuildRequest(Table().Find("POST", "/v9"), "", text, read));
  };
  EXPECT_EQ(param(body("messages", '[', "{}", ']')), "messages");
  EXPECT_EQ(param(body("texts", '[', "\"\"", ']')), "texts");
  EXPECT_EQ(param(body("bias", '{', "1", '}')), "bias");
  test::Everything read;
  EXPECT_TRUE(BuildRequest(Table().Find("POST", "/v9"), "", body("smalls", '[', "1", ']'), read).ok());
  EXPECT_EQ(read.smalls_size(), (1 << 16) + 1);
}

TEST(Transcoding, AnswersOnePartOfTheMessage) {
  const BindingTable::Match match = Table().Find("PUT", "/v9/x");
  ASSERT_NE(match.binding, nullptr);
  test::Everything answer;
  EXPECT_EQ(*ResponseJson(answer, match.binding->response_field), "[]");
  answer.add_texts("a");
  answer.set_text("left out");
  EXPECT_EQ(*ResponseJson(answer, match.binding->response_field), R"(["a"])");
  const auto part = [&](const char* name) {
    return *ResponseJson(answer, test::Everything::descriptor()->FindFieldByName(name));
  };
  EXPECT_EQ(part("text"), R"("left out")");
  EXPECT_EQ(part("data"), R"("")");
  EXPECT_EQ(part("flag"), "false");
  EXPECT_EQ(part("large"), R"("0")");
  EXPECT_EQ(part("real"), "0");
  EXPECT_EQ(part("color"), R"("COLOR_UNSPECIFIED")");
  EXPECT_EQ(part("bias"), "{}");
  EXPECT_EQ(part("inner"), "{}");
  answer.mutable_inner()->set_small(1);
  EXPECT_EQ(part("inner"), R"({"small":1})");
}

}  // namespace
}  // namespace swiftlet
