// CHECK: for Swiftlet's own bugs only. What input, files, network or devices can cause is an absl::Status.
// Packaged Abseil has no absl/log, hence this small one.
#pragma once

#include <sstream>
#include <string>

namespace swiftlet {

// Prints "file:line: CHECK failed: condition message" to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const std::string& values);

// Collects the values streamed after CHECK(condition); its destructor aborts.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition) : file_(file), line_(line), condition_(condition) {}
  ~CheckFailure() { CheckFailed(file_, line_, condition_, values_.str()); }
  std::ostream& stream() { return values_; }

 private:
  const char* file_;
  int line_;
  const char* condition_;
  std::ostringstream values_;
};

}  // namespace swiftlet

// CHECK(free + used == total) << "free " << free << " used " << used;
#define CHECK(condition)                                    \
  switch (0)                                                \
  case 0:                                                   \
  default:                                                  \
    if (__builtin_expect(static_cast<bool>(condition), 1)) { \
    } else                                                  \
      ::swiftlet::CheckFailure(__FILE__, __LINE__, #condition).stream()
