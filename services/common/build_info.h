// What was built: for --version, the log's first line and the metric swiftlet_build_info.
#pragma once

#include <string_view>

namespace swiftlet {

std::string_view BuildVersion();   // "0.1.0"
std::string_view BuildCompiler();  // "gcc 12.2.0"

}  // namespace swiftlet
