// Whether tests that need a GPU can run. Without one they skip and say so; with one that does not work they fail.
#pragma once

#include <absl/strings/str_cat.h>

#include <string>

#include "engine/base/cuda/device.h"

namespace swiftlet {

// What to skip with; empty where there is a GPU. The beginning is what ctest knows such a skip by (cmake/Module.cmake).
inline std::string WhyNoGpu() {
  const absl::Status status = CountDevices().status();
  return absl::IsUnavailable(status) ? absl::StrCat("no GPU: ", status.message()) : "";
}

}  // namespace swiftlet
