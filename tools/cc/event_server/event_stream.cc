#include "tools/cc/event_server/event_stream.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace swiftlet {
namespace {

// As long as an event of the gateway's chat route.
constexpr char kEventHead[] =
    "data: "
    "{\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"events\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
constexpr char kEventTail[] = "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
constexpr char kModels[] = "{\"object\":\"list\",\"data\":[{\"id\":\"events\",\"object\":\"model\"}]}";

// The number behind `name` in lower-case or JSON text, or -1.
int64_t NumberBehind(const std::string& text, const std::string& name) {
  const size_t at = text.find(name);
  int64_t value = -1;
  if (at != std::string::npos) std::from_chars(text.data() + at + name.size(), text.data() + text.size(), value);
  return value;
}

void AppendChunk(const std::string& data, std::string* out) {
  absl::StrAppend(out, absl::Hex(data.size()), "\r\n", data, "\r\n");
}

}  // namespace

EventStream::~EventStream() {
  close(fd_);
}

bool EventStream::Receive() {
  char buffer[16 << 10];
  while (true) {
    const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    in_.append(buffer, static_cast<size_t>(got));
    if (left_ == 0 && !TakeRequest()) return false;
  }
}

bool EventStream::TakeRequest() {
  const size_t head_end = in_.find("\r\n\r\n");
  if (head_end == std::string::npos) return true;
  const std::string head = absl::AsciiStrToLower(in_.substr(0, head_end + 2));
  const int64_t length = std::max<int64_t>(NumberBehind(head, "\r\ncontent-length: "), 0);
  const size_t whole = head_end + 4 + static_cast<size_t>(length);
  if (in_.size() < whole) return true;
  const std::string body = in_.substr(head_end + 4, static_cast<size_t>(length));
  in_.erase(0, whole);
  if (absl::StartsWith(head, "get ")) {
    absl::StrAppend(&out_, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ", sizeof(kModels) - 1,
                    "\r\n\r\n", kModels);
    return Send();
  }
  num_tokens_ = static_cast<int32_t>(std::clamp<int64_t>(NumberBehind(body, "\"max_tokens\":"), 1, 1 << 24));
  left_ = num_tokens_;
  prompt_tokens_ = static_cast<int32_t>(std::count(body.begin(), body.end(), ' '));
  absl::StrAppend(&out_, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  return true;
}

bool EventStream::Step(int32_t tokens, bool separate) {
  if (left_ == 0) return true;
  if (out_.size() > sizeof(kEventHead)) return Send();
  const int32_t now = std::min(tokens, left_);
  std::string events;
  std::string words;
  for (int32_t i = 0; i < now; ++i) {
    words += " word";
    if (!separate && i + 1 < now) continue;
    absl::StrAppend(&events, kEventHead, words, kEventTail);
    words.clear();
  }
  AppendChunk(events, &out_);
  left_ -= now;
  if (left_ > 0) return Send();
  AppendChunk(absl::StrCat("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":", prompt_tokens_,
                           ",\"completion_tokens\":", num_tokens_, "}}\n\ndata: [DONE]\n\n"),
              &out_);
  out_ += "0\r\n\r\n";
  return Send() && TakeRequest();
}

bool EventStream::Send() {
  const ssize_t sent = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN;
  out_.erase(0, static_cast<size_t>(sent));
  return true;
}

}  // namespace swiftlet
