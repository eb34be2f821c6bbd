// The X-Request-Id that a caller sends: echoed and logged, so that it finds its request again; nothing here is ever
// looked up by it. Pure.
#pragma once

#include <string>
#include <string_view>

namespace swiftlet {

// The id where it can be echoed and logged as it is: 1 to limits::kMaxNameBytes printable characters, no space. Else
// empty: the request is served without one.
std::string CallerRequestId(std::string_view header);

}  // namespace swiftlet
