// The OpenAPI document says what the gateway does: held against the tables it is made from, and its bounds against what
// the doors accept. tests/integration/test_openapi.py holds it against the standard and against real answers.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/error_table.h"
#include "services/gateway/openapi/document.h"
#include "services/gateway/request/parameter_table.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

namespace json = boost::json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

FakeScript Answering(const ValidRequest&) {
  return TextScript({"x"});
}

json::object Document(bool strict = false) {
  Front front(Answering, {}, strict);
  const TestResponse response = front.Ask("GET", "/openapi.json");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  auto document = ParseStrictJson(response.body);
  EXPECT_TRUE(document.ok()) << document.status();
  return document.value_or(json::object()).as_object();
}

const json::object& Schemas(const json::object& document) {
  return document.at("components").at("schemas").as_object();
}

std::set<std::string> Keys(const json::value& object) {
  std::set<std::string> keys;
  for (const auto& member : object.as_object()) keys.emplace(member.key());
  return keys;
}

std::string Text(const json::value& value) {
  return std::string(value.as_string());
}

TEST(OpenApi, HasEveryRouteAndNothingElse) {
  std::set<std::string> served;
  for (const ListedRoute& route : HttpRoutes::List()) {
    served.insert(absl::StrCat(ToAbsl(route.method), " ", ToAbsl(route.path)));
  }
  const BindingTable table = InferenceBindings();
  for (const Binding& binding : table.bindings()) {
    served.insert(absl::StrCat(binding.http_method, " ", binding.route));
  }
  std::set<std::string> told;
  std::set<std::string> names;
  const json::object document = Document();
  for (const auto& [path, item] : document.at("paths").as_object()) {
    for (const auto& [method, operation] : item.as_object()) {
      told.insert(absl::AsciiStrToUpper(std::string(method)) + " " + std::string(path));
      EXPECT_TRUE(names.insert(Text(operation.at("operationId"))).second) << path;
    }
  }
  EXPECT_EQ(told, served);
}

TEST(OpenApi, TheKeyIsOptionalOrNotAskedFor) {
  const json::object document = Document();
  for (const ListedRoute& route : HttpRoutes::List()) {
    const json::object& item = document.at("paths").as_object().at(route.path).as_object();
    const json::object& operation = item.begin()->value().as_object();
    EXPECT_EQ(operation.contains("security"), route.open) << route.path;
    EXPECT_EQ(operation.at("responses").as_object().contains("401"), !route.open) << route.path;
  }
  Front front(Answering, {}, false, {"secret"});
  EXPECT_EQ(front.Ask("GET", "/openapi.json").status, 401);
  EXPECT_EQ(front.Ask("GET", "/openapi.json", "", "Authorization: Bearer secret\r\n").status, 200);
  EXPECT_EQ(front.Ask("POST", "/openapi.json", "{}", "Authorization: Bearer secret\r\n").status, 405);
}

TEST(OpenApi, TellsOfThePageWhereThereIsOne) {
  const std::vector<ListedRoute> routes = {{"/", "GET", true}};
  const auto document = ParseStrictJson(OpenApiDocument(routes, nullptr, false));
  ASSERT_TRUE(document.ok()) << document.status();
  const json::object& page = document->as_object().at("paths").as_object().at("/").as_object().at("get").as_object();
  EXPECT_TRUE(page.at("responses").as_object().at("200").as_object().at("content").as_object().contains("text/html"));
  EXPECT_TRUE(page.at("security").as_array().empty());
  EXPECT_EQ(page.at("parameters").as_array().size(), 1u);  // the request id alone, no name of a model
}

TEST(OpenApi, HasEveryParameterAndNothingElse) {
  for (const bool strict : {false, true}) {
    const json::object document = Document(strict);
    for (const auto& [route, name] :
         {std::pair(kChatRoute, "ChatCompletionRequest"), {kCompletionsRoute, "CompletionRequest"}}) {
      std::set<std::string> known;
      std::set<std::string> required;
      for (const Parameter& parameter : Parameters()) {
        if ((parameter.routes & route) == 0) continue;
        known.emplace(parameter.name);
        if (parameter.required) required.emplace(parameter.name);
      }
      const json::object& schema = Schemas(document).at(name).as_object();
      EXPECT_EQ(Keys(schema.at("properties")), known);
      EXPECT_EQ(schema.contains("additionalProperties"), strict);
      std::set<std::string> told;
      for (const json::value& one : schema.at("required").as_array()) told.insert(Text(one));
      EXPECT_EQ(told, required);
    }
  }
}

// Leaving out what is required is refused by that name.
TEST(OpenApi, WhatIsRequiredIs) {
  Front front({"x"});
  const json::object document = Document();
  const std::pair<const char*, const char*> bodies[] = {{"/v1/chat/completions", "ChatCompletionRequest"},
                                                        {"/v1/completions", "CompletionRequest"},
                                                        {"/swiftlet/v1/chat", "swiftlet.v1.ChatRequest"},
                                                        {"/swiftlet/v1/generate", "swiftlet.v1.GenerateRequest"}};
  for (const auto& [path, name] : bodies) {
    json::object whole = {{"model", "tiny"}};
    if (absl::StrContains(path, "chat")) {
      whole["messages"] = json::array{json::object{{"role", "user"}, {"content", "x"}}};
    } else {
      whole[path[1] == 'v' ? "prompt" : "text"] = "x";
    }
    EXPECT_EQ(front.Ask("POST", path, json::serialize(whole)).status, 200) << path;
    for (const json::value& required : Schemas(document).at(name).at("required").as_array()) {
      json::object body = whole;
      EXPECT_EQ(body.erase(required.as_string()), 1u) << required;
      const TestResponse response = front.Ask("POST", path, json::serialize(body));
      EXPECT_EQ(response.status, 400) << response.body;
      EXPECT_EQ(ParseStrictJson(response.body)->at("error").at("param"), required);
    }
  }
}

// The fields of `type`, and of what it holds, each with its schema.
void ExpectFields(const json::object& schemas, const Descriptor& type, std::set<const Descriptor*>& seen) {
  if (!seen.insert(&type).second) return;
  ASSERT_TRUE(schemas.contains(type.full_name())) << type.full_name();
  std::set<std::string> fields;
  for (int i = 0; i < type.field_count(); ++i) fields.insert(type.field(i)->name());
  EXPECT_EQ(Keys(schemas.at(type.full_name()).at("properties")), fields) << type.full_name();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.message_type() != nullptr && !field.is_map()) ExpectFields(schemas, *field.message_type(), seen);
  }
}

TEST(OpenApi, HasEveryFieldOfEveryMessageAndNothingElse) {
  const json::object document = Document();
  const BindingTable table = InferenceBindings();
  std::set<const Descriptor*> seen;
  for (const Binding& binding : table.bindings()) {
    if (binding.body == Binding::kWhole && binding.path_fields.empty()) {
      ExpectFields(Schemas(document), *binding.method->input_type(), seen);
    }
    if (binding.response_field == nullptr) ExpectFields(Schemas(document), *binding.method->output_type(), seen);
  }
  EXPECT_GT(seen.size(), 10u);
  for (const auto& [name, schema] : Schemas(document)) {
    if (!std::string_view(name).starts_with("swiftlet.v1.") || absl::StrContains(std::string(name), ".without-"))
      continue;
    EXPECT_NE(std::find_if(seen.begin(), seen.end(),
                           [&](const Descriptor* one) { return one->full_name() == std::string(name); }),
              seen.end())
        << name;
  }
  // The path has it, so the body may not.
  EXPECT_FALSE(Keys(Schemas(document).at("swiftlet.v1.ChatRequest.without-model").at("properties")).contains("model"));
}

TEST(OpenApi, HasEveryErrorStatus) {
  const json::object document = Document();
  std::set<std::string> statuses;
  for (const ErrorRow& row : ErrorRows()) statuses.insert(absl::StrCat("Error", row.http));
  EXPECT_EQ(Keys(document.at("components").at("responses")), statuses);
}

void ExpectReferences(const json::value& value, const json::object& document) {
  if (const json::array* list = value.if_array()) {
    for (const json::value& one : *list) ExpectReferences(one, document);
  }
  const json::object* object = value.if_object();
  if (object == nullptr) return;
  if (const json::value* reference = object->if_contains("$ref")) {
    const std::string pointer = Text(*reference).substr(1);
    boost::system::error_code error;
    EXPECT_NE(json::value(document).find_pointer(pointer, error), nullptr) << pointer;
  }
  for (const auto& member : *object) ExpectReferences(member.value(), document);
}

TEST(OpenApi, ReferencesLeadSomewhere) {
  const json::object document = Document();
  // Each once: a document is a tree of a few hundred references.
  ExpectReferences(document.at("paths"), document);
}

const json::object& Resolved(const json::object& document, const json::value& schema) {
  const json::object* at = &schema.as_object();
  if (const json::value* any = at->if_contains("anyOf")) at = &any->as_array().at(0).as_object();
  if (const json::value* reference = at->if_contains("$ref")) {
    constexpr size_t kPrefix = std::string_view("#/components/schemas/").size();
    return Schemas(document).at(reference->as_string().subview(kPrefix)).as_object();
  }
  return *at;
}

json::object With(json::object body, const std::vector<std::string>& field, const json::value& value) {
  if (field.size() == 1) {
    body[field.front()] = value;
    return body;
  }
  json::value& inner = body[field.front()];
  if (!inner.is_object()) inner = json::object{};
  inner = With(inner.as_object(), {field.begin() + 1, field.end()}, value);
  return body;
}

// Every number that stands in the schema at `field`: both ends are served, what lies just outside is refused by name.
void ExpectBounds(Front& front, const json::object& document, const std::string& path, const json::object& body,
                  const std::vector<std::string>& field, const json::object& property, int& num_checked) {
  const auto ask = [&](const json::value& value) {
    return front.Ask("POST", path, json::serialize(With(body, field, value)));
  };
  const auto expect_refused = [&](const json::value& value) {
    const TestResponse response = ask(value);
    EXPECT_EQ(response.status, 400) << path << " " << field.back() << " " << value << response.body;
    const json::value param = ParseStrictJson(response.body)->at("error").at("param");
    EXPECT_TRUE(param.is_string() && Text(param).ends_with(field.back()))
        << field.back() << " " << value << response.body;
  };
  const bool is_integer = absl::StrContains(json::serialize(property.at("type")), "integer");
  if (const json::value* highest = property.if_contains("maximum")) {
    const double top = highest->to_number<double>();
    EXPECT_EQ(ask(*highest).status, 200) << path << " " << field.back() << " " << *highest;
    if (top < 1e15) {
      is_integer ? expect_refused(static_cast<int64_t>(top) + 1) : expect_refused(top + 0.01);
    }
    ++num_checked;
  }
  if (const json::value* lowest = property.if_contains("minimum")) {
    const double bottom = lowest->to_number<double>();
    if (field.back() != "max_tokens" && field.back() != "max_completion_tokens") {  // 0 where the prompt is told
      EXPECT_EQ(ask(*lowest).status, 200) << path << " " << field.back() << " " << *lowest;
    }
    if (bottom > -1e15) {
      is_integer ? expect_refused(static_cast<int64_t>(bottom) - 1) : expect_refused(bottom - 0.01);
    }
    ++num_checked;
  }
  if (const json::value* lowest = property.if_contains("exclusiveMinimum")) {
    expect_refused(*lowest);
    EXPECT_EQ(ask(lowest->to_number<double>() + 0.01).status, 200) << path << " " << field.back();
    ++num_checked;
  }
  if (const json::value* most = property.if_contains("maxItems")) {
    const json::object& item = Resolved(document, property.at("items"));
    const json::value one = item.at("type") == "string" ? json::value("a") : json::value(1);
    if (item.at("type") != "string" && item.at("type") != "integer") return;
    const auto count = static_cast<size_t>(most->to_number<int64_t>());
    EXPECT_EQ(ask(json::array(count, one)).status, 200) << path << " " << field.back();
    expect_refused(json::array(count + 1, one));
    ++num_checked;
  }
  if (const json::value* most = property.if_contains("maxLength");
      most != nullptr && most->to_number<int64_t>() < 4096) {
    const auto count = static_cast<size_t>(most->to_number<int64_t>());
    EXPECT_EQ(ask(json::value(std::string(count, 'a'))).status, 200) << path << " " << field.back();
    expect_refused(json::value(std::string(count + 1, 'a')));
    ++num_checked;
  }
}

TEST(OpenApi, BoundsAreThoseOfTheDoors) {
  Front front({"x"});
  front.generator.models[0].max_model_len = 1 << 30;
  const json::object document = Document();
  const json::object chat = {{"model", "tiny"},
                             {"messages", json::array{json::object{{"role", "user"}, {"content", "x"}}}}};
  const json::object completion = {{"model", "tiny"}, {"prompt", "x"}};
  int num_checked = 0;
  for (const auto& [path, schema, body] : {std::tuple("/v1/chat/completions", "ChatCompletionRequest", chat),
                                           std::tuple("/v1/completions", "CompletionRequest", completion)}) {
    for (const auto& [name, property] : Schemas(document).at(schema).at("properties").as_object()) {
      json::object whole = body;
      if (name == "top_logprobs") whole["logprobs"] = true;
      if (name == "prompt" || name == "messages") continue;
      const json::object& resolved = Resolved(document, property);
      if (!resolved.contains("type")) continue;
      ExpectBounds(front, document, path, whole, {std::string(name)}, resolved, num_checked);
      if (const json::value* any = property.as_object().if_contains("anyOf");
          any != nullptr && any->as_array().size() > 2) {
        ExpectBounds(front, document, path, whole, {std::string(name)}, any->as_array().at(1).as_object(), num_checked);
      }
    }
  }
  EXPECT_GT(num_checked, 40);
  const json::object generate = {{"model", "tiny"}, {"text", "x"}};
  num_checked = 0;
  for (const auto& [path, schema, body] :
       {std::tuple("/swiftlet/v1/chat", "swiftlet.v1.ChatRequest", chat),
        std::tuple("/swiftlet/v1/generate", "swiftlet.v1.GenerateRequest", generate)}) {
    for (const auto& [name, property] : Schemas(document).at(schema).at("properties").as_object()) {
      if (name == "text" || name == "messages" || name == "token_ids") continue;
      const json::object& resolved = Resolved(document, property);
      if (!resolved.contains("properties")) {
        ExpectBounds(front, document, path, body, {std::string(name)}, resolved, num_checked);
        continue;
      }
      for (const auto& [inner, inner_property] : resolved.at("properties").as_object()) {
        ExpectBounds(front, document, path, body, {std::string(name), std::string(inner)},
                     Resolved(document, inner_property), num_checked);
      }
    }
  }
  EXPECT_GT(num_checked, 30);
}

}  // namespace
}  // namespace swiftlet
