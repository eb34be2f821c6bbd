// The bytes of index.html. The definition is written when the build is configured (services/gateway/CMakeLists.txt).
#pragma once

#include <string_view>

namespace swiftlet {

extern const std::string_view kIndexHtml;

}  // namespace swiftlet
