// A span of a trace as OpenTelemetry has them, and where the gateway puts those that are sampled.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace swiftlet {

using SpanValue = std::variant<std::string, int64_t, double, std::vector<std::string>>;

struct Span {
  enum Kind { kInternal = 1, kServer = 2, kClient = 3 };  // OTLP's numbers

  std::string trace_id;
  std::string span_id;
  std::string parent_id;  // empty = the trace begins here
  std::string state;
  std::string name;
  Kind kind = kInternal;
  int64_t begin_unix_us = 0;
  int64_t end_unix_us = 0;
  std::vector<std::pair<std::string, SpanValue>> attributes;
  bool failed = false;
};

// Any thread; never blocks.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  virtual void Take(std::vector<Span> spans) = 0;
};

}  // namespace swiftlet
