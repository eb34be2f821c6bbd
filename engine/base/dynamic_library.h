// A shared library opened at run time, so that programs start on machines without it: cuBLASLt, NVML.
// Stays open until the process ends.
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace swiftlet {

class DynamicLibrary {
 public:
  // Tries the names in order, by the loader's own search path. UNAVAILABLE names what was tried and the last reason.
  static absl::StatusOr<DynamicLibrary> Open(std::initializer_list<const char*> names);

  // UNAVAILABLE names the library and the symbol.
  template <typename Function>
  absl::Status Load(const char* symbol, Function** function) const {
    absl::StatusOr<void*> found = Find(symbol);
    if (found.ok()) *function = reinterpret_cast<Function*>(*found);
    return found.status();
  }

 private:
  explicit DynamicLibrary(std::string name, void* handle) : name_(std::move(name)), handle_(handle) {}
  absl::StatusOr<void*> Find(const char* symbol) const;

  std::string name_;
  void* handle_;
};

}  // namespace swiftlet
