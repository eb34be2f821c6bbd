#include "services/gateway/transcode/binding.h"

#include <absl/strings/str_cat.h>
#include <google/api/annotations.pb.h>

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;

// {"GET", "/v1/..."}
std::pair<std::string, std::string> PatternOf(const google::api::HttpRule& rule) {
  switch (rule.pattern_case()) {
    case google::api::HttpRule::kGet:
      return {"GET", rule.get()};
    case google::api::HttpRule::kPut:
      return {"PUT", rule.put()};
    case google::api::HttpRule::kPost:
      return {"POST", rule.post()};
    case google::api::HttpRule::kDelete:
      return {"DELETE", rule.delete_()};
    case google::api::HttpRule::kPatch:
      return {"PATCH", rule.patch()};
    case google::api::HttpRule::kCustom:
      return {rule.custom().kind(), rule.custom().path()};
    case google::api::HttpRule::PATTERN_NOT_SET:
      return {};
  }
  return {};
}

absl::StatusOr<const FieldDescriptor*> TopField(const Descriptor& type, const std::string& name) {
  const FieldDescriptor* field = type.FindFieldByName(name);
  if (field == nullptr) return absl::InvalidArgumentError(absl::StrCat(type.full_name(), " has no field ", name));
  return field;
}

absl::StatusOr<Binding> BindingOf(const MethodDescriptor& method, const google::api::HttpRule& rule) {
  const auto [http_method, path] = PatternOf(rule);
  if (http_method.empty()) return absl::InvalidArgumentError("a rule without an HTTP method");
  ASSIGN_OR_RETURN(PathTemplate parsed, PathTemplate::Parse(path));
  Binding binding{.method = &method, .http_method = http_method, .path = std::move(parsed)};
  for (const PathTemplate::Variable& variable : binding.path.variables()) {
    ASSIGN_OR_RETURN(FieldPath fields, FindFieldPath(*method.input_type(), variable.field_path));
    if (fields.back()->is_repeated() || !TakesText(*fields.back())) {
      return absl::InvalidArgumentError(absl::StrCat(variable.field_path, " cannot stand in a path"));
    }
    binding.path_fields.push_back(std::move(fields));
  }
  if (rule.body() == "*") {
    binding.body = Binding::kWhole;
  } else if (!rule.body().empty()) {
    binding.body = Binding::kField;
    ASSIGN_OR_RETURN(binding.body_field, TopField(*method.input_type(), rule.body()));
    for (const FieldPath& fields : binding.path_fields) {
      if (fields.front() == binding.body_field) return absl::InvalidArgumentError("the body's field is in the path");
    }
  }
  if (!rule.response_body().empty()) {
    ASSIGN_OR_RETURN(binding.response_field, TopField(*method.output_type(), rule.response_body()));
  }
  return binding;
}

}  // namespace

absl::StatusOr<BindingTable> BindingTable::Of(const google::protobuf::ServiceDescriptor& service) {
  BindingTable table;
  for (int i = 0; i < service.method_count(); ++i) {
    const MethodDescriptor& method = *service.method(i);
    if (!method.options().HasExtension(google::api::http)) continue;
    const google::api::HttpRule& rule = method.options().GetExtension(google::api::http);
    std::vector<const google::api::HttpRule*> rules = {&rule};
    for (const auto& more : rule.additional_bindings()) rules.push_back(&more);
    for (const google::api::HttpRule* one : rules) {
      absl::StatusOr<Binding> binding = BindingOf(method, *one);
      absl::Status status = binding.status();
      if (status.ok() && method.client_streaming()) status = absl::InvalidArgumentError("a stream of requests");
      if (status.ok() && one != &rule && one->additional_bindings_size() > 0) {
        status = absl::InvalidArgumentError("additional bindings within additional bindings");
      }
      if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(method.full_name(), ": ", status.message()));
      for (const Binding& other : table.bindings_) {
        if (other.http_method == binding->http_method && other.path.IsEquivalentTo(binding->path)) {
          return absl::InvalidArgumentError(
              absl::StrCat(method.full_name(), ": has the path of ", other.method->full_name()));
        }
      }
      table.bindings_.push_back(*std::move(binding));
    }
  }
  std::stable_sort(table.bindings_.begin(), table.bindings_.end(),
                   [](const Binding& a, const Binding& b) { return a.path.GoesBefore(b.path); });
  return table;
}

BindingTable::Match BindingTable::Find(std::string_view http_method, std::string_view path) const {
  if (http_method == "HEAD") http_method = "GET";
  Match match;
  for (const Binding& binding : bindings_) {
    auto captures = binding.path.Match(path);
    if (!captures.has_value()) continue;
    if (binding.http_method == http_method || binding.http_method == "*") {
      return {.binding = &binding, .captures = *std::move(captures), .allowed = {}};
    }
    for (const char* method : {binding.http_method.c_str(), binding.http_method == "GET" ? "HEAD" : ""}) {
      if (*method != '\0' && std::find(match.allowed.begin(), match.allowed.end(), method) == match.allowed.end()) {
        match.allowed.emplace_back(method);
      }
    }
  }
  return match;
}

}  // namespace swiftlet
