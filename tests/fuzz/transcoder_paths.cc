// A path template, and a REST request for InferenceService: method, target and body become the method's message, or an
// error of the caller's; the message's own JSON makes the message again. Input: template, HTTP method, target and body,
// 0xFF between them.
#include <google/protobuf/util/message_differencer.h>

#include <memory>
#include <string>

#include "engine/base/check.h"
#include "engine/base/strict_json.h"
#include "services/gateway/transcode/binding.h"
#include "services/gateway/transcode/percent_encoding.h"
#include "services/gateway/transcode/request_builder.h"
#include "services/gateway/transcode/response_json.h"
#include "swiftlet/v1/inference.pb.h"
#include "tests/fuzz/callers_error.h"
#include "tests/fuzz/input.h"
#include "tests/services/gateway/transcode/requests.h"

namespace swiftlet {
namespace {

using google::protobuf::Message;

void CheckCaptures(const std::vector<PathTemplate::Capture>& captures, std::string_view path) {
  for (const PathTemplate::Capture& capture : captures) {
    CHECK(capture.variable != nullptr);
    CHECK(capture.text.empty() || (capture.text.data() >= path.data() &&
                                   capture.text.data() + capture.text.size() <= path.data() + path.size()));
  }
}

void CheckTemplate(std::string_view text, std::string_view path) {
  const auto parsed = PathTemplate::Parse(text);
  if (!fuzz::IsFine(parsed.status())) return;
  CHECK(parsed->IsEquivalentTo(*parsed) && !parsed->GoesBefore(*parsed));
  CHECK(!parsed->OpenApiPath().empty());
  if (const auto captures = parsed->Match(path)) CheckCaptures(*captures, path);
}

void CheckSameAgain(const Message& request) {
  const auto text = ResponseJson(request, nullptr);
  CHECK(text.ok()) << text.status();
  const auto json = ParseStrictJson(*text);
  CHECK(json.ok()) << json.status() << *text;
  const std::unique_ptr<Message> again(request.New());
  const absl::Status status = SetFromJson(*json, {}, *again);
  CHECK(status.ok()) << status << *text;
  CHECK(google::protobuf::util::MessageDifferencer::Equals(request, *again)) << *text;
}

}  // namespace

void fuzz::RunOne(Input input) {
  static const BindingTable table =
      tests::TableOf(*v1::GenerateRequest::descriptor()->file()->FindServiceByName("InferenceService"));
  const std::string_view path_template = input.Text();
  const std::string_view http_method = input.Text();
  const std::string_view target = input.Text();
  const size_t mark = target.find('?');
  const std::string_view path = target.substr(0, mark);
  CheckTemplate(path_template, path);

  const BindingTable::Match match = table.Find(http_method, path);
  if (match.binding == nullptr) return;
  CheckCaptures(match.captures, path);
  const std::unique_ptr<Message> request = tests::NewRequest(*match.binding);
  const std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  const absl::Status status = BuildRequest(match, query, input.rest(), *request);
  if (!status.ok()) return CheckCallersError(status, {400});
  CheckSameAgain(*request);
}

}  // namespace swiftlet
