#include "services/gateway/openapi/document.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/check.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/build_info.h"
#include "services/common/error_table.h"
#include "services/common/limits.h"
#include "services/gateway/openapi/answer_schemas.h"
#include "services/gateway/openapi/message_schemas.h"
#include "services/gateway/openapi/parameter_schemas.h"
#include "services/gateway/openapi/schema.h"
#include "services/gateway/transcode/binding.h"

namespace swiftlet {
namespace {

namespace json = boost::json;
using google::protobuf::FieldDescriptor;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kEvents = "text/event-stream";
constexpr std::string_view kHtml = "text/html";
constexpr std::string_view kLines = "application/x-ndjson";

// What the table of routes does not say of them.
struct RouteFacts {
  std::string_view path;
  std::string_view name;
  std::string_view summary;
  std::string_view body;    // schema; empty: none
  std::string_view answer;  // likewise; empty: a page
  std::string_view event;   // of a stream; empty: it never streams
};
constexpr RouteFacts kFacts[] = {
    {"/", "playground", "A page to talk with the models", "", "", ""},
    {"/health", "health", "Whether requests can be answered: /readyz under another name", "", "Ready", ""},
    {"/livez", "livez", "Whether the process lives", "", "Alive", ""},
    {"/readyz", "readyz", "Whether requests can be answered", "", "Ready", ""},
    {"/version", "version", "The version that answers", "", "Version", ""},
    {"/openapi.json", "openapi", "This document", "", "Document", ""},
    {"/v1/models", "listModels", "The models that can be asked", "", "ModelList", ""},
    {"/v1/models/{model}", "getModel", "One of them", "", "Model", ""},
    {"/v1/chat/completions", "createChatCompletion", "Answers a conversation", "ChatCompletionRequest",
     "ChatCompletion", "ChatCompletionChunk"},
    {"/v1/completions", "createCompletion", "Continues a prompt", "CompletionRequest", "Completion", "Completion"},
    {"/tokenize", "tokenize", "The ids of a prompt", "TokenizeRequest", "Tokenized", ""},
    {"/detokenize", "detokenize", "The text of ids", "DetokenizeRequest", "Detokenized", ""},
};

std::string ErrorName(int http) {
  return absl::StrCat("Error", http);
}

json::object Content(std::string_view type, json::object schema) {
  return {{type, json::object{{"schema", std::move(schema)}}}};
}

// What one part of a stream holds: `part`, or what went wrong, as the last one.
json::object PartSchema(json::object part) {
  return {{"anyOf", json::array{std::move(part), schema::Reference("Error")}}};
}

// OpenAPI 3.1 has no word for streams; as 3.2 and today's tools have it, the schema is one event's.
json::object EventContent(json::object part, std::string_view description) {
  json::object data = {
      {"type", "string"},
      {"contentMediaType", kJson},
      {"contentSchema", PartSchema(std::move(part))},
  };
  if (!description.empty()) data["description"] = description;
  return {{"schema",
           json::object{
               {"type", "object"}, {"properties", json::object{{"data", data}}}, {"required", json::array{"data"}}}}};
}

json::object LineContent(json::object part) {
  json::object made = PartSchema(std::move(part));
  made["description"] = "each line; empty ones keep a quiet stream open";
  return {{"schema", std::move(made)}};
}

// Which errors an operation may answer.
struct Failing {
  bool needs_key = true;
  bool has_name = false;  // of a model, in path or body
  bool works = false;     // asks tokenizers or workers
  bool chooses_by_accept = false;
};

bool MayAnswer(int http, const Failing& failing) {
  switch (http) {
    case 401:
    case 403:
      return failing.needs_key;
    case 404:
      return failing.has_name;
    case 405:  // another method's answer, not this operation's
    case 499:  // nobody reads it
      return false;
    case 406:
      return failing.chooses_by_accept;
    case 409:
    case 429:
    case 501:
    case 504:
      return failing.works;
    default:
      return true;
  }
}

void AddErrors(const Failing& failing, json::object& responses) {
  std::set<int> statuses;
  for (const ErrorRow& row : ErrorRows()) {
    if (MayAnswer(row.http, failing)) statuses.insert(row.http);
  }
  for (const int http : statuses) {
    const std::string status = absl::StrCat(http);
    if (responses.contains(status)) continue;
    responses[status] = json::object{{"$ref", absl::StrCat("#/components/responses/", ErrorName(http))}};
  }
}

json::object PathParameter(std::string_view name, json::object schema) {
  return {{"name", name}, {"in", "path"}, {"required", true}, {"schema", std::move(schema)}};
}

json::object ErrorSchema() {
  std::set<std::string_view> types;
  for (const ErrorRow& row : ErrorRows()) types.insert(row.type);
  json::array type_names;
  for (const std::string_view type : types) type_names.emplace_back(type);
  json::object error = {
      {"type", "object"},
      {"additionalProperties", false},
      {"required", json::array{"message", "type", "param", "code"}},
      {"properties", json::object{{"message", json::object{{"type", "string"}}},
                                  {"type", json::object{{"type", "string"}, {"enum", std::move(type_names)}}},
                                  {"param", json::object{{"type", json::array{"string", "null"}},
                                                         {"description", "the field at fault"}}},
                                  {"code", json::object{{"type", "string"}}}}}};
  return {{"type", "object"},
          {"additionalProperties", false},
          {"required", json::array{"error"}},
          {"properties", json::object{{"error", std::move(error)}}}};
}

json::object ErrorResponses() {
  std::map<int, std::string> codes;
  for (const ErrorRow& row : ErrorRows()) {
    std::string& listed = codes[row.http];
    if (!absl::StrContains(listed, ToAbsl(row.code))) {
      absl::StrAppend(&listed, listed.empty() ? "" : ", ", ToAbsl(row.code));
    }
  }
  json::object responses;
  for (const auto& [http, listed] : codes) {
    json::object response = {{"description", absl::StrCat(listed, ", or a code that says more")},
                             {"content", Content(kJson, schema::Reference("Error"))}};
    if (http == 429 || http == 503) {
      const json::object seconds = {{"description", "seconds until it helps to try again"},
                                    {"schema", json::object{{"type", "integer"}, {"minimum", 1}}}};
      response["headers"] = json::object{{"Retry-After", seconds}};
    }
    responses[ErrorName(http)] = std::move(response);
  }
  return responses;
}

class Writer {
 public:
  Writer(bool strict) : strict_(strict), messages_(schemas_) {
    const auto answers = ParseStrictJson(AnswerSchemas());
    CHECK(answers.ok()) << answers.status();
    schemas_ = answers->get_object();
    schemas_["Error"] = ErrorSchema();
    schemas_["ChatMessage"] = ChatMessageSchema(strict_);
    schemas_["ChatCompletionRequest"] = BodySchema(kChatRoute, strict_);
    schemas_["CompletionRequest"] = BodySchema(kCompletionsRoute, strict_);
    schemas_["TokenizeRequest"] = TokenizeBodySchema(strict_);
    schemas_["DetokenizeRequest"] = DetokenizeBodySchema(strict_);
  }

  void AddRoute(const ListedRoute& route) {
    const auto facts = std::find_if(std::begin(kFacts), std::end(kFacts),
                                    [&](const RouteFacts& one) { return one.path == route.path; });
    CHECK(facts != std::end(kFacts)) << "document.cc says nothing of " << route.path;
    const bool named = absl::EndsWith(ToAbsl(route.path), "{model}");
    json::object operation = {{"operationId", facts->name}, {"summary", facts->summary}};
    operation["tags"] = json::array{facts->answer.empty() ? "playground" : route.open ? "probes" : "OpenAI"};
    json::array parameters = {RequestIdHeader()};
    if (named) parameters.push_back(PathParameter("model", {{"type", "string"}, {"minLength", 1}}));
    operation["parameters"] = std::move(parameters);
    if (!facts->body.empty()) operation["requestBody"] = Body(schema::Reference(facts->body));
    json::object content =
        facts->answer.empty() ? Content(kHtml, {{"type", "string"}}) : Content(kJson, schema::Reference(facts->answer));
    if (!facts->event.empty())
      content[kEvents] = EventContent(schema::Reference(facts->event), "[DONE] ends the stream");
    json::object responses = {{"200", json::object{{"description", "the answer"}, {"content", std::move(content)}}}};
    if (facts->answer == "Ready") {
      responses["503"] = json::object{
          {"description", "not ready, or too_many_connections"},
          {"content",
           Content(kJson, {{"anyOf", json::array{schema::Reference("NotReady"), schema::Reference("Error")}}})}};
    }
    const bool asks = !facts->body.empty();
    AddErrors({.needs_key = !route.open, .has_name = asks || named, .works = asks}, responses);
    operation["responses"] = std::move(responses);
    if (route.open) operation["security"] = json::array{};
    Put(std::string(route.path), route.method, std::move(operation));
  }

  void AddBindings(const BindingTable& table) {
    for (const Binding& binding : table.bindings()) RequestSchema(binding);  // before any answer's
    for (const Binding& binding : table.bindings()) AddBinding(binding);
  }

  std::string Finish() && {
    json::object document = {
        {"openapi", "3.1.0"},
        {"info", json::object{{"title", "Swiftlet"},
                              {"version", BuildVersion()},
                              {"description",
                               "LLM inference. In bodies null means absent; the fields of /swiftlet/v1 may also be "
                               "spelled in camelCase. A body has at most 8 MiB. GET takes HEAD too."},
                              {"license", json::object{{"name", "see LICENSE"}}}}},
        {"security", json::array{json::object{{"key", json::array{}}}, json::object{}}},
        {"paths", std::move(paths_)},
        {"components",
         json::object{{"securitySchemes",
                       json::object{{"key", json::object{{"type", "http"},
                                                         {"scheme", "bearer"},
                                                         {"description", "needed where the gateway has keys"}}}}},
                      {"responses", ErrorResponses()},
                      {"schemas", std::move(schemas_)}}}};
    return json::serialize(document);
  }

 private:
  void Put(const std::string& path, std::string_view method, json::object operation) {
    std::string key(method);
    std::transform(key.begin(), key.end(), key.begin(), [](char c) { return static_cast<char>(c | 0x20); });
    json::value& item = paths_[path];
    if (item.is_null()) item = json::object{};
    item.as_object()[key] = std::move(operation);
  }

  static json::object Body(json::object schema) {
    return {{"required", true}, {"content", Content(kJson, std::move(schema))}};
  }

  static json::object RequestIdHeader() {
    return {{"name", "X-Request-Id"},
            {"in", "header"},
            {"description", "echoed and logged where it is short and printable"},
            {"schema", json::object{{"type", "string"}}}};
  }

  static std::set<const FieldDescriptor*> PathFields(const Binding& binding) {
    std::set<const FieldDescriptor*> top;
    for (const FieldPath& fields : binding.path_fields) {
      if (fields.size() == 1) top.insert(fields.front());
    }
    return top;
  }

  // Of the body; nullopt where there is none.
  std::optional<json::object> RequestSchema(const Binding& binding) {
    switch (binding.body) {
      case Binding::kNone:
        return std::nullopt;
      case Binding::kWhole:
        return messages_.Request(*binding.method->input_type(), PathFields(binding));
      case Binding::kField:
        return messages_.RequestField(*binding.body_field);
    }
    return std::nullopt;
  }

  // What the query may hold: every field that is neither in the path nor in the body, and those of messages in it.
  void AddQuery(const Binding& binding, const google::protobuf::Descriptor& type, FieldPath& path,
                json::array& parameters) {
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (path.empty() && &field == binding.body_field) continue;
      const auto holds_itself = [&](const FieldDescriptor* outer) {
        return outer->message_type() == field.message_type();
      };
      path.push_back(&field);
      const bool in_path =
          std::find(binding.path_fields.begin(), binding.path_fields.end(), path) != binding.path_fields.end();
      if (!in_path && TakesText(field)) {
        parameters.push_back(
            json::object{{"name", ToString(path)}, {"in", "query"}, {"schema", messages_.RequestField(field)}});
      } else if (!in_path && !field.is_repeated() && field.message_type() != nullptr &&
                 field.message_type()->well_known_type() == google::protobuf::Descriptor::WELLKNOWNTYPE_UNSPECIFIED &&
                 std::none_of(path.begin(), path.end() - 1, holds_itself)) {
        AddQuery(binding, *field.message_type(), path, parameters);
      }
      path.pop_back();
    }
  }

  void AddBinding(const Binding& binding) {
    const auto& method = *binding.method;
    const int nth = ++num_bindings_[&method];
    json::object operation = {
        {"operationId", absl::StrCat(method.name(), nth > 1 ? absl::StrCat("_", nth) : "")},
        {"summary", absl::StrCat("The method ", method.name(), " of ", method.service()->full_name())},
        {"tags", json::array{method.service()->full_name()}}};
    json::array parameters = {
        RequestIdHeader(),
        json::object{{"name", "Grpc-Timeout"},
                     {"in", "header"},
                     {"description", "the deadline, from arrival"},
                     {"schema", json::object{{"type", "string"}, {"pattern", "^([0-9]{1,8}[HMSmun])?$"}}}}};
    for (size_t i = 0; i < binding.path_fields.size(); ++i) {
      const PathTemplate::Variable& variable = binding.path.variables()[i];
      json::object parameter =
          PathParameter(variable.field_path, messages_.RequestValue(*binding.path_fields[i].back()));
      if (!variable.one_segment) parameter["description"] = "slashes stand in it as they are";
      parameters.push_back(std::move(parameter));
    }
    FieldPath path;
    if (binding.body != Binding::kWhole) AddQuery(binding, *method.input_type(), path, parameters);
    operation["parameters"] = std::move(parameters);
    if (std::optional<json::object> body = RequestSchema(binding)) operation["requestBody"] = Body(*std::move(body));
    json::object answer = binding.response_field != nullptr ? messages_.AnswerField(*binding.response_field)
                                                            : messages_.Answer(*method.output_type());
    json::object content;
    if (method.server_streaming()) {
      content[kLines] = LineContent(answer);
      content[kEvents] = EventContent(std::move(answer), "");
    } else {
      content = Content(kJson, std::move(answer));
    }
    json::object responses = {{"200", json::object{{"description", "the answer"}, {"content", std::move(content)}}}};
    const bool takes_body = binding.body != Binding::kNone;
    AddErrors({.has_name = takes_body || !binding.path_fields.empty(),
               .works = takes_body,
               .chooses_by_accept = method.server_streaming()},
              responses);
    operation["responses"] = std::move(responses);
    for (const char* http : {"GET", "PUT", "POST", "DELETE", "PATCH"}) {
      if (binding.http_method == http || binding.http_method == "*") {
        Put(binding.route, http, operation);
      }
    }
  }

  const bool strict_;
  json::object schemas_;
  json::object paths_;
  MessageSchemas messages_;
  std::map<const google::protobuf::MethodDescriptor*, int> num_bindings_;
};

}  // namespace

std::string OpenApiDocument(std::span<const ListedRoute> routes, const BindingTable* bindings, bool strict) {
  Writer writer(strict);
  for (const ListedRoute& route : routes) writer.AddRoute(route);
  if (bindings != nullptr) writer.AddBindings(*bindings);
  return std::move(writer).Finish();
}

}  // namespace swiftlet
