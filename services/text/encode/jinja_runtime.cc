#include "services/text/encode/jinja_runtime.h"

#include <absl/status/status.h>

#include <algorithm>

#include "services/text/encode/concat.h"

namespace swiftlet::jinja {

absl::Status LimitError(std::string message) {
  return absl::ResourceExhaustedError(std::move(message));
}

absl::Status Runtime::CheckBudget() const {
  if (steps_ > limits_.steps) return LimitError(Concat("the template took more than ", limits_.steps, " steps"));
  if (created_bytes_ > limits_.created_bytes) {
    return LimitError(Concat("the template made more than ", limits_.created_bytes, " bytes of text"));
  }
  return absl::OkStatus();
}

absl::Status Runtime::CheckStringSize(uint64_t bytes) const {
  if (bytes <= limits_.string_bytes) return absl::OkStatus();
  return LimitError(Concat("the template made a string of more than ", limits_.string_bytes, " bytes"));
}

Value Runtime::NewString(Text text) {
  created_bytes_ += text.bytes.size();
  steps_ += text.bytes.size() / 64 + text.user_ranges.size();
  return Value::String(std::move(text));
}

Value Runtime::NewString(std::string_view text, bool user) {
  created_bytes_ += text.size();
  steps_ += text.size() / 64;
  return Value::String(text, user);
}

absl::StatusOr<Value> Runtime::NewList(std::vector<Value> items, SequenceKind kind) {
  steps_ += items.size();
  if (items.size() > limits_.list_items) {
    return LimitError(Concat("the template made a list of more than ", limits_.list_items, " items"));
  }
  Value list = Value::List(std::move(items), kind);
  if (list.depth() > limits_.value_depth) {
    return LimitError(Concat("the template nested values more than ", limits_.value_depth, " deep"));
  }
  return list;
}

Namespace* Runtime::NewNamespace() {
  steps_ += 100;  // kept until the rendering ends
  return &namespaces_.emplace_back();
}

absl::StatusOr<std::vector<std::optional<Value>>> BindArguments(std::string_view function,
                                                                const CallArguments& arguments,
                                                                const std::vector<std::string_view>& names,
                                                                size_t required) {
  std::vector<std::optional<Value>> bound(names.size());
  if (arguments.positional.size() > names.size()) {
    return TemplateError(
        Concat(function, "() takes at most ", names.size(), " arguments, got ", arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.keyword) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return TemplateError(Concat(function, "() got an unexpected keyword argument '", name, "'"));
    }
    std::optional<Value>& slot = bound[static_cast<size_t>(found - names.begin())];
    if (slot.has_value()) {
      return TemplateError(Concat(function, "() got multiple values for argument '", name, "'"));
    }
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound[i].has_value()) {
      return TemplateError(Concat(function, "() missing required argument '", names[i], "'"));
    }
  }
  return bound;
}

}  // namespace swiftlet::jinja
