// A caller of event_server: reads requests of an OpenAI route and answers each with as many events as it asks for
// tokens. Owned by a thread of the server.
#pragma once

#include <cstdint>
#include <string>

namespace swiftlet {

class EventStream {
 public:
  // Takes the socket, which does not block.
  explicit EventStream(int fd) : fd_(fd) {}
  ~EventStream();
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  // Reads what is there. False: the caller has gone, or speaks no HTTP.
  bool Receive();
  // Sends the next `tokens` of the answer under way, one event with all of them, or as `separate` events in one call of
  // the system; the end behind the last. False: the caller has gone. A step is left out while the caller does not read.
  bool Step(int32_t tokens, bool separate);
  // An answer is under way.
  bool answers() const { return left_ > 0; }

 private:
  bool TakeRequest();
  bool Send();

  const int fd_;
  std::string in_;
  std::string out_;  // not sent yet
  int32_t prompt_tokens_ = 0;
  int32_t num_tokens_ = 0;  // of the answer
  int32_t left_ = 0;        // of those; 0: no answer is under way
};

}  // namespace swiftlet
