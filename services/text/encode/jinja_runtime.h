// What one rendering may use and share: its limits, what it has spent, its clock and the namespaces it made. Filters,
// tests, methods and functions receive it. One object a rendering, one thread.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/civil_time.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

// Bounds on a template and on one rendering of it. Far above what published templates need, low enough that a hostile
// one ends within a second and within the stack of any thread.
struct Limits {
  size_t source_bytes = size_t{2} << 20;
  int syntax_nesting = 120;                // nested blocks and parentheses in the source
  int expression_height = 200;             // operators on the longest path of one expression
  int call_depth = 400;                    // nested evaluations, macros included
  int value_depth = 100;                   // lists in lists
  uint64_t steps = 10'000'000;             // nodes evaluated and elements or 64-byte pieces handled
  size_t string_bytes = size_t{32} << 20;     // one string, the output included
  size_t created_bytes = size_t{512} << 20;   // all strings of a rendering together
  int64_t range_length = 100'000;          // as in Jinja's sandbox
  size_t list_items = kMaxItems;             // of one list
};

class Runtime {
 public:
  Runtime(const Limits& limits, absl::CivilSecond now) : limits_(limits), now_(now) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const Limits& limits() const { return limits_; }
  absl::CivilSecond now() const { return now_; }

  // Cheap to call often; the interpreter asks CheckBudget after each node.
  void Spend(uint64_t steps) { steps_ += steps; }
  absl::Status CheckBudget() const;
  // Before building something that may be far larger than its parts.
  absl::Status CheckStringSize(uint64_t bytes) const;

  Value NewString(Text text);
  Value NewString(std::string_view text, bool user = false);
  absl::StatusOr<Value> NewList(std::vector<Value> items, SequenceKind kind = SequenceKind::kList);
  Namespace* NewNamespace();

 private:
  const Limits& limits_;
  const absl::CivilSecond now_;
  uint64_t steps_ = 0;
  uint64_t created_bytes_ = 0;
  std::deque<Namespace> namespaces_;
};

// Binds a call's arguments to `names` in order; absent ones stay empty. Errors as Python's for surplus, unknown and
// repeated ones. The first `required` must be there.
absl::StatusOr<std::vector<std::optional<Value>>> BindArguments(std::string_view function,
                                                                const CallArguments& arguments,
                                                                const std::vector<std::string_view>& names,
                                                                size_t required = 0);

// RESOURCE_EXHAUSTED inside the interpreter marks a limit; every other failure is INVALID_ARGUMENT.
absl::Status LimitError(std::string message);

}  // namespace swiftlet::jinja
