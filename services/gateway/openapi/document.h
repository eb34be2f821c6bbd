// The OpenAPI 3.1 document of everything that is served over REST, made from what serves it: the table of routes, the
// parameter table, the descriptors with their google.api.http annotations, the bounds and the error table. Pure; made
// once, while the routes are.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace swiftlet {

class BindingTable;

// A route of the HTTP door's own table.
struct ListedRoute {
  std::string_view path;  // as OpenAPI writes it: "/v1/models/{model}"
  std::string_view method;
  bool open;  // without a key
};

// `bindings`: of the transcoder; null: there is none. `strict`: unknown parameters are refused.
std::string OpenApiDocument(std::span<const ListedRoute> routes, const BindingTable* bindings, bool strict);

}  // namespace swiftlet
