#include "engine/base/dynamic_library.h"

#include <absl/strings/str_cat.h>
#include <dlfcn.h>

namespace swiftlet {

absl::StatusOr<DynamicLibrary> DynamicLibrary::Open(std::initializer_list<const char*> names) {
  std::string tried;
  for (const char* name : names) {
    if (void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL); handle != nullptr) return DynamicLibrary(name, handle);
    absl::StrAppend(&tried, tried.empty() ? "" : "; ", dlerror());
  }
  return absl::UnavailableError(absl::StrCat("cannot open a library (LD_LIBRARY_PATH names where it is): ", tried));
}

absl::StatusOr<void*> DynamicLibrary::Find(const char* symbol) const {
  if (void* found = dlsym(handle_, symbol); found != nullptr) return found;
  return absl::UnavailableError(absl::StrCat(name_, " has no ", symbol, "; a newer version is needed"));
}

}  // namespace swiftlet
