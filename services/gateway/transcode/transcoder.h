// The REST door to the methods of a gRPC service, by the google.api.http annotations of its descriptor: a new method
// with an annotation is served without a line here. Requests become messages (request_builder.h) and go where the gRPC
// door's go (method_call.h). A unary method answers one JSON document; a stream answers server-sent events where the
// Accept header asks for them, else lines of JSON. Owned by main; called on the exchanges' executors, from any io
// thread.
#pragma once

#include <memory>
#include <optional>

#include "services/gateway/http/http_exchange.h"
#include "services/gateway/inference/method_call.h"
#include "services/gateway/transcode/binding.h"

namespace swiftlet {

class Transcoder {
 public:
  // `methods` outlives the transcoder. The annotations of `service` are right: BindingTable::Of has said so.
  Transcoder(BindingTable table, MethodCaller& methods);

  // Whether the request can be answered here: nullopt; else 404, 405 or 406. Sets the route where there is one.
  std::optional<HttpResponse> Check(HttpRequest& head) const;
  // For a request that passed Check.
  void Handle(const HttpRequest& request, std::shared_ptr<HttpExchange> exchange);

  const BindingTable& table() const { return table_; }

 private:
  const BindingTable table_;
  MethodCaller& methods_;
};

}  // namespace swiftlet
