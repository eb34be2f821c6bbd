// What is told of each request when it has ended: a line of the log, and, of a sampled one, its spans. A door opens an
// entry for what arrives, and whoever works on the request adds to it; the line is written when the last of them lets
// go, so that it tells of the answer's last byte as well as of the worker.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "services/common/line_limiter.h"
#include "services/common/metrics.h"
#include "services/common/trace_context.h"
#include "services/gateway/clock.h"
#include "services/gateway/generation/generation_observer.h"
#include "swiftlet/v1/common.pb.h"

namespace swiftlet {

// One generation of a request; most have one.
struct GenerationEntry {
  std::string id;     // ours
  std::string model;  // as asked for
  RequestRecord record;
  std::string error;           // code of what ended it; empty = it ended well
  std::string worker_id;       // the last one
  std::string encode_span_id;  // as the tokenizer was told; empty = it was not asked
  int64_t begin_us = 0;        // of the gateway's Clock
  int64_t submit_us = -1;      // since `begin_us`; -1 = did not come so far
  int64_t last_token_us = -1;  // likewise
  // As the caller asked.
  v1::SamplingParams sampling;
  v1::StopRules stop;
  int32_t num_choices = 1;
};

// What a door sees first of a request.
struct Arrival {
  std::string_view door;         // "http", "grpc"
  std::string_view method = {};  // of HTTP, or of the service; empty = it could not be read
  std::string_view caller_id = {};
  std::string_view traceparent = {};
  std::string_view tracestate = {};
};

// Touched by one thread at a time: the request's home, once that has it.
struct RequestEntry {
  std::string_view door;
  std::string method;
  std::string route;  // empty = none takes the path
  std::string caller_id;
  std::string key_name;
  SpanContext span;
  SpanIds child_ids{0};
  int64_t arrival_us = 0;       // of the gateway's Clock
  int64_t arrival_unix_us = 0;  // the same moment
  int64_t end_us = -1;          // last byte of the answer; -1 = when the line is written
  int http_status = 0;          // 0 = no answer was begun
  absl::StatusCode grpc_code = absl::StatusCode::kOk;
  std::string error;           // code, where the door knows it; a generation's own is as good
  bool quiet = false;          // a probe: a line at level debug alone
  bool caller_gone = false;    // before the answer was complete
  int64_t request_bytes = 0;   // of the body or message
  int64_t response_bytes = 0;  // of all that was sent
  std::vector<GenerationEntry> generations;
  // Texts, where they are asked for: no more than so many bytes of each.
  size_t text_bytes = 0;
  std::string prompt;
  std::string answer;

  const Clock* clock = nullptr;
  int64_t NowUs() const { return clock->NowUs(); }
  // What a callee of ours is told as its parent; the request itself where no spans are made.
  std::string ChildId() { return span.sampled ? child_ids.Next() : span.span_id; }
  // The status that the door tells its caller.
  void SetStatus(const absl::Status& status);
  // Adds what there is room for.
  void AddText(std::string& to, std::string_view text) const;
};

class SpanSink;

struct RequestLogOptions {
  double sample_ratio = 0;  // of traces that begin here
  size_t text_bytes = 0;    // of each prompt and answer; 0 = none
  // Lines of requests that no worker took: a flood of them must not fill a disk.
  double refusal_lines_per_s = 20;
  double refusal_lines_burst = 50;
};

// Owned by main; any thread. Outlives its entries.
class RequestLog {
 public:
  // `random`: any thread. `spans` may be null; outlives it.
  RequestLog(const RequestLogOptions& options, const Clock& clock, std::function<uint64_t()> random, SpanSink* spans,
             Metrics& metrics);

  std::shared_ptr<RequestEntry> Begin(const Arrival& arrival);

 private:
  void End(RequestEntry& entry);
  void WriteLine(const RequestEntry& entry);

  const RequestLogOptions options_;
  const Clock& clock_;
  const std::function<uint64_t()> random_;
  SpanSink* const spans_;
  LineLimiter refusals_;
  prometheus::Counter& left_out_;
};

}  // namespace swiftlet
