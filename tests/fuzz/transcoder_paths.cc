// A path template, and a REST request for InferenceService: method, target and body become the method's message, or an
// error of the caller's; the message's own JSON makes the message again. Input: template, HTTP method, target and body,
// 0xFF between them.
#include <google/protobuf/util/message_differencer.h>

#include <memory>
#include <string>

#include "engine/base/check.h"
#include "engine/base/strict_json.h"
#include "services/common/errors.h"
#include "services/gateway/transcode/binding.h"
#include "services/gateway/transcode/percent_encoding.h"
#include "services/gateway/transcode/request_builder.h"
#include "services/gateway/transcode/response_json.h"
#include "swiftlet/v1/inference.pb.h"
#include "tests/fuzz/input.h"

namespace swiftlet {
namespace {

using google::protobuf::Message;

const BindingTable& Table() {
  static const auto* const table = [] {
    auto built = BindingTable::Of(*v1::GenerateRequest::descriptor()->file()->FindServiceByName("InferenceService"));
    CHECK(built.ok()) << built.status();
    return new BindingTable(*std::move(built));
  }();
  return *table;
}

std::unique_ptr<Message> NewRequest(const Binding& binding) {
  auto* const factory = google::protobuf::MessageFactory::generated_factory();
  return std::unique_ptr<Message>(factory->GetPrototype(binding.method->input_type())->New());
}

void CheckCaptures(const std::vector<PathTemplate::Capture>& captures, std::string_view path) {
  for (const PathTemplate::Capture& capture : captures) {
    CHECK(capture.variable != nullptr);
    CHECK(capture.text.empty() || (capture.text.data() >= path.data() &&
                                   capture.text.data() + capture.text.size() <= path.data() + path.size()));
  }
}

void CheckTemplate(std::string_view text, std::string_view path) {
  const auto parsed = PathTemplate::Parse(text);
  if (!parsed.ok()) {
    CHECK(!parsed.status().message().empty());
    return;
  }
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
}  // namespace swiftlet

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace swiftlet;
  fuzz::Input input(data, size);
  const std::string_view path_template = input.Text();
  const std::string_view http_method = input.Text();
  const std::string_view target = input.Text();
  const size_t mark = target.find('?');
  const std::string_view path = target.substr(0, mark);
  CheckTemplate(path_template, path);

  const BindingTable::Match match = Table().Find(http_method, path);
  if (match.binding == nullptr) return 0;
  CheckCaptures(match.captures, path);
  const std::unique_ptr<Message> request = NewRequest(*match.binding);
  const std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  const absl::Status status = BuildRequest(match, query, input.rest(), *request);
  if (!status.ok()) {
    CHECK(HttpStatusCode(status) == 400) << status;
    CHECK(ParseStrictJson(OpenAiErrorBody(status)).ok()) << OpenAiErrorBody(status);
    return 0;
  }
  CheckSameAgain(*request);
  return 0;
}
