// What passes between the HTTP server and what answers its requests. No socket, no parser: the routes and the doors
// see these types alone.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

namespace swiftlet {

class KeyAccount;
struct RequestEntry;

struct HttpRequest {
  std::string method;
  std::string path;    // target up to '?', as sent: never decoded, so that all checks see the same one
  std::string query;   // what follows the '?', as sent
  std::string accept;  // header values, empty when absent; of repeated ones all, with commas between
  std::string grpc_timeout;
  std::string authorization;  // header values, empty when absent
  std::string content_encoding;
  std::string content_type;
  std::string request_id;               // see CallerRequestId
  std::string traceparent;              // of several ones none
  std::string tracestate;               // as accept
  std::shared_ptr<KeyAccount> account;  // set by HttpHandler::Check: whose key it was; null = keys are not needed
  std::string_view route;               // likewise: of the table of routes, which outlives it; empty = none
  std::shared_ptr<RequestEntry> entry;  // null = nobody keeps a log
  std::string body;                     // empty while HttpHandler::Check looks at the head
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;  // further ones; no line breaks
  std::string body;
  std::string error;  // the error's code; empty = it tells of none
};

// `error` as every door tells it: the OpenAI object, and Retry-After where the error has one.
HttpResponse ErrorResponse(const absl::Status& error);

// The answering of one request. Every method is called on executor(), the connection's one thread; after the answer
// is complete, or the caller has gone, they do nothing. Exactly one of Respond and StartStream begins the answer.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  virtual boost::asio::any_io_executor executor() const = 0;

  virtual void Respond(HttpResponse response) = 0;

  // Sends the head; the body follows through Write, or from `source`, which may be empty: it appends what it has when
  // the caller is ready for more. `filler` is written whenever the stream was silent for the server's ping interval,
  // and must mean nothing to the caller.
  virtual void StartStream(HttpResponse head, std::string_view filler, std::function<void(std::string&)> source) = 0;
  // Never blocks. What cannot be sent at once is kept, up to limits::kMaxStreamBacklogBytes.
  virtual void Write(std::string_view bytes) = 0;
  // The source has something: it is asked once, soon, or when a caller that is behind has caught up.
  virtual void Announce() = 0;
  virtual void EndStream() = 0;
  // Ends the stream of a caller that is too far behind. `last_words` are sent if it takes them soon.
  virtual void CutOff(std::string_view last_words) = 0;

  // The caller closed its connection, or reads too slowly and was cut off: called once, on executor(), and never after
  // the answer is complete.
  virtual void OnAbandoned(std::function<void()> callback) = 0;
  // The caller of a stream has not taken a byte for HttpServerOptions::write_timeout: `callback` is to call CutOff.
  // Without one, or for an answer that is no stream, the connection is closed.
  virtual void OnStalled(std::function<void()> callback) = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Looks at a request's head before its body is read. An answer refuses it; nullopt lets it through to Handle.
  virtual std::optional<HttpResponse> Check(HttpRequest& head) = 0;
  // Called on the exchange's executor. Answers now or later, through `exchange`.
  virtual void Handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) = 0;
};

}  // namespace swiftlet
