// One HTTP method and path that a google.api.http annotation maps to a method, and the table of all of a service.
// Made once, from descriptors alone; immutable; any thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/descriptor.h>

#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/transcode/message_fields.h"
#include "services/gateway/transcode/path_template.h"

namespace swiftlet {

struct Binding {
  const google::protobuf::MethodDescriptor* method;
  std::string http_method;  // "GET", "POST" ...; "*": any
  PathTemplate path;
  std::string route = path.OpenApiPath();   // kept, as HttpRequest::route refers to it
  std::vector<FieldPath> path_fields = {};  // of path.variables(), in order
  enum Body { kNone, kWhole, kField };
  Body body = kNone;
  const google::protobuf::FieldDescriptor* body_field = nullptr;      // kField
  const google::protobuf::FieldDescriptor* response_field = nullptr;  // what the answer's body is of; null: all
};

class BindingTable {
 public:
  struct Match {
    const Binding* binding = nullptr;  // null: nothing takes this method here
    std::vector<PathTemplate::Capture> captures;
    std::vector<std::string> allowed;  // without a binding: methods that the path takes; empty: no such path
  };

  // Of every annotated method of `service`. INVALID_ARGUMENT names the method whose annotation is wrong: a fault of the
  // .proto file, not of a caller.
  static absl::StatusOr<BindingTable> Of(const google::protobuf::ServiceDescriptor& service);

  // `path` as sent, without the query. HEAD finds what GET does. Captures refer to `path`.
  Match Find(std::string_view http_method, std::string_view path) const;

  const std::vector<Binding>& bindings() const { return bindings_; }

 private:
  std::vector<Binding> bindings_;  // the more particular first
};

}  // namespace swiftlet
