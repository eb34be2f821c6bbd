#include "services/common/build_info.h"

namespace swiftlet {

std::string_view BuildVersion() {
  return SWIFTLET_VERSION;
}
std::string_view BuildCompiler() {
  return "gcc " __VERSION__;
}

}  // namespace swiftlet
