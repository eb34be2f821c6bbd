// W3C trace context (https://www.w3.org/TR/trace-context/): which trace a request belongs to, as the headers
// traceparent and tracestate tell it. What breaks the rules is as good as absent. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace swiftlet {

// Who made a span: 32, 16 lower-case hexadecimal digits, not all 0.
struct TraceParent {
  std::string trace_id;
  std::string span_id;
  bool sampled = false;
};

// Version 00 as it is; of a later version the part that 00 knows. `header` is without white space around it; several
// headers of the name are none.
std::optional<TraceParent> ParseTraceParent(std::string_view header);
// Version 00, 55 characters.
std::string TraceParentText(const TraceParent& parent);

// `header`, of several ones all joined by commas, as it is passed on: without empty members and white space around
// members, cut to 512 characters by whole members (those over 128 characters first, then from the end). Empty where it
// breaks a rule: more than 32 members, a key twice, a character that must not be.
std::string CleanTraceState(std::string_view header);

// Where a span of ours stands.
struct SpanContext {
  std::string trace_id;
  std::string span_id;
  std::string parent_id;  // empty = the trace begins here
  std::string state;      // to be passed on
  bool sampled = false;

  // What a callee is told: `span_id`, or a child of it, is its parent.
  std::string TraceParentOf(std::string_view span_id) const;
};

// A new span below the one that the headers name; without a valid one it begins a trace, sampled with probability
// `sample_ratio`. `random`: 64 bits each call.
SpanContext ContinueTrace(std::string_view traceparent, std::string_view tracestate, double sample_ratio,
                          const std::function<uint64_t()>& random);

// Ids of spans from one random start: 16 digits, not all 0, unlike each other.
class SpanIds {
 public:
  explicit SpanIds(uint64_t start) : next_(start) {}
  std::string Next();

 private:
  uint64_t next_;  // a counter, of which each id is a bijection
};

}  // namespace swiftlet
