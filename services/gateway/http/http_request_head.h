// From the head of an HTTP request, as Beast parsed it, to our request or to the error that refuses it. Pure; used by
// http_connection.cc alone, on the threads of the connections.
#pragma once

#include <absl/status/status.h>

#include <boost/beast/http/message.hpp>
#include <boost/system/error_code.hpp>

#include "services/gateway/http/http_exchange.h"

namespace swiftlet {

// What to answer when reading a request failed. OK: nobody is there to be told.
absl::Status HttpReadError(const boost::system::error_code& error, bool timed_out);

// Refuses what the parser lets through and we do not: ambiguous framing is how requests are smuggled past a proxy.
absl::Status CheckRequestHead(const boost::beast::http::request_header<>& head);

// The request without its body.
HttpRequest RequestOfHead(const boost::beast::http::request_header<>& head);

}  // namespace swiftlet
