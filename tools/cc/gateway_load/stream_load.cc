#include "tools/cc/gateway_load/stream_load.h"

#include <absl/strings/str_cat.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int32_t kUsageAndEnd = 2;  // events after the last token's
constexpr int kSlowReceiveBytes = 4 << 10;
constexpr double kPatienceSeconds = 300;  // for the last answers

double Us(int64_t ns) {
  return static_cast<double>(ns) * 1e-3;
}

}  // namespace

StreamLoad::StreamLoad(const StreamLoadOptions& options, const TokenTimes& times, std::function<void()> on_held)
    : options_(options), times_(times), on_held_(std::move(on_held)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  CHECK(epoll_ >= 0);
}

StreamLoad::~StreamLoad() {
  close(epoll_);
}

std::string StreamLoad::Request(int32_t index, int32_t tokens) const {
  const std::string prompt = options_.chat ? R"("messages":[{"role":"user","content":"What is 478 + 256?"}])"
                                           : R"("prompt":[60,61,62,63,64,65,66,67])";
  const std::string body =
      absl::StrCat(R"({"model":"mock",)", prompt, R"(,"stream":true,"stream_options":{"include_usage":true},)",
                   R"("ignore_eos":true,"seed":)", index + 1, R"(,"max_tokens":)", tokens, "}");
  return absl::StrCat("POST /v1/", options_.chat ? "chat/completions" : "completions",
                      " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ", body.size(),
                      "\r\n\r\n", body);
}

void StreamLoad::Ask(Stream& stream, int64_t now_ns) {
  stream.event_ns.clear();
  stream.caller.began_ns = now_ns;
  stream.caller.first_ns = 0;
  stream.caller.Begin(Request(stream.caller.index, stream.slow ? options_.slow_tokens : options_.tokens));
  if (!stream.open) {
    if (!stream.caller.Connect(options_.port, stream.slow ? kSlowReceiveBytes : 0)) return OnBroken(stream);
    // A slow reader is told of the end alone.
    epoll_event event = {.events = stream.slow ? EPOLLOUT | EPOLLET : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                         .data = {.ptr = &stream}};
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, stream.caller.fd(), &event) == 0);
    stream.open = true;
  } else if (!stream.caller.Send()) {
    OnBroken(stream);
  }
}

void StreamLoad::OnBroken(Stream& stream) {
  if (stream.slow) {
    --num_slow_;
    result_.slow_cut_s.push_back(static_cast<double>(SteadyNowNs() - begin_ns_) * 1e-9);
  } else {
    ++result_.errors[stream.caller.problem()];
    --num_busy_;
  }
  stream.caller.Close();
  stream.open = false;
  stream.left = 0;
}

void StreamLoad::OnReady(Stream& stream, uint32_t events) {
  if (!stream.open) return;
  if ((events & EPOLLOUT) != 0 && !stream.caller.Send()) return OnBroken(stream);
  if (stream.slow) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) OnBroken(stream);
    return;
  }
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) == 0) return;
  const int32_t events_before = stream.caller.events();
  const bool open = stream.caller.Receive();
  const int64_t now_ns = SteadyNowNs();
  if (stream.caller.events() > events_before) {
    stream.event_ns.resize(static_cast<size_t>(stream.caller.events()), now_ns);
    if (stream.caller.first_ns == 0) {
      stream.caller.first_ns = now_ns;
      ++num_held_;
    }
  }
  if (stream.caller.done() && stream.caller.status() != 0) OnDone(stream, now_ns);
  if (!open && stream.open) {
    if (!stream.caller.done()) return OnBroken(stream);
    stream.caller.Close();  // between two answers
    stream.open = false;
  }
}

void StreamLoad::OnDone(Stream& stream, int64_t now_ns) {
  Caller& caller = stream.caller;
  const double total_ms = Us(now_ns - caller.began_ns) * 1e-3;
  if (caller.status() == 429) {
    result_.refused_ms.push_back(total_ms);
    if (!caller.has_retry_after()) ++result_.refused_without_time;
  } else if (caller.status() != 200) {
    ++result_.errors[absl::StrCat("status ", caller.status(), ": ", caller.tail())];
  } else if (caller.LastNumber("completion_tokens") != options_.tokens ||
             caller.tail().find("[DONE]") == std::string::npos) {
    ++result_.errors[absl::StrCat("an incomplete answer: ", caller.tail().substr(caller.tail().size() / 2))];
  } else {
    ++result_.answers;
    result_.tokens += options_.tokens;
    result_.events += caller.events() - kUsageAndEnd;
    result_.bytes += caller.bytes();
    result_.answer_ms.push_back(total_ms);
    result_.first_ms.push_back(Us(caller.first_ns - caller.began_ns) * 1e-3);
    const int64_t at_worker_ns = times_.emitted_ns(caller.index, 0) - times_.submitted_ns(caller.index);
    result_.first_added_us.push_back(Us(caller.first_ns - caller.began_ns - at_worker_ns));
    if (caller.events() == options_.tokens + kUsageAndEnd) {
      for (int32_t i = 1; i < options_.tokens; ++i) {
        result_.token_added_us.push_back(
            Us(stream.event_ns[static_cast<size_t>(i)] - times_.emitted_ns(caller.index, i)));
      }
    }
  }
  if (options_.rate > 0) {
    --num_busy_;
    free_.push_back(&stream);
  } else if (--stream.left > 0) {
    Ask(stream, now_ns);
  } else {
    --num_busy_;
  }
}

void StreamLoad::BeginDue(int64_t now_ns) {
  const double elapsed_s = std::min(static_cast<double>(now_ns - begin_ns_) * 1e-9, options_.seconds);
  while (static_cast<double>(begun_) < elapsed_s * options_.rate) {
    ++begun_;
    if (free_.empty()) {
      ++result_.not_begun;
      continue;
    }
    Stream& stream = *free_.back();
    free_.pop_back();
    ++num_busy_;
    Ask(stream, SteadyNowNs());
  }
}

void StreamLoad::ReadSlowly(int64_t now_ns) {
  if (options_.slow_readers == 0 || now_ns < next_slow_ns_) return;
  next_slow_ns_ = now_ns + kSecondNs;
  if (on_held_) on_held_();
  for (const auto& stream : streams_) {
    if (!stream->slow || !stream->open) continue;
    if (stream->caller.ReceiveSome(1) < 0) {
      OnBroken(*stream);
    } else if (stream->caller.done()) {
      ++result_.slow_done;
      --num_slow_;
      stream->caller.Close();
      stream->open = false;
    }
  }
}

bool StreamLoad::Finished(int64_t now_ns) {
  const double elapsed_s = static_cast<double>(now_ns - begin_ns_) * 1e-9;
  if (options_.hold) {
    if (held_ns_ == 0 && num_held_ >= num_busy_) {
      held_ns_ = now_ns;
      on_held_();
    }
    return held_ns_ != 0 && static_cast<double>(now_ns - held_ns_) * 1e-9 > options_.seconds;
  }
  if (elapsed_s > options_.seconds + kPatienceSeconds) {
    result_.errors["not finished in time"] += num_busy_;
    return true;
  }
  if (num_busy_ > 0) return false;
  if (options_.rate > 0) return elapsed_s > options_.seconds;
  return num_slow_ == 0 || elapsed_s > options_.seconds;
}

StreamLoadResult StreamLoad::Run() {
  begin_ns_ = SteadyNowNs();
  for (int32_t i = 0; i < options_.streams + options_.slow_readers; ++i) {
    Stream& stream = *streams_.emplace_back(std::make_unique<Stream>());
    stream.caller.index = i;
    stream.slow = i >= options_.streams;
    stream.left = options_.answers;
    if (stream.slow) {
      ++num_slow_;
      Ask(stream, SteadyNowNs());
    } else if (options_.rate > 0) {
      free_.push_back(&stream);
    } else {
      ++num_busy_;
      Ask(stream, SteadyNowNs());
    }
  }
  std::vector<epoll_event> ready(1024);
  const int wait_ms = options_.rate > 0 ? 1 : 50;
  while (!Finished(SteadyNowNs())) {
    if (options_.rate > 0) BeginDue(SteadyNowNs());
    ReadSlowly(SteadyNowNs());
    const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), wait_ms);
    for (int i = 0; i < count; ++i) OnReady(*static_cast<Stream*>(ready[i].data.ptr), ready[i].events);
  }
  result_.wall_s = static_cast<double>(SteadyNowNs() - begin_ns_) * 1e-9;
  return std::move(result_);
}

}  // namespace swiftlet
