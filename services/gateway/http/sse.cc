#include "services/gateway/http/sse.h"

#include "engine/base/check.h"

namespace swiftlet::sse {

void AppendEvent(std::string& out, std::string_view json) {
  CHECK(json.find_first_of("\r\n") == std::string_view::npos) << "a line break would end the event early";
  out.append(kDataPrefix).append(json).append(kEventEnd);
}

}  // namespace swiftlet::sse
