#include "tools/cc/golden_check/golden_report.h"

#include <cstdio>
#include <utility>

namespace swiftlet {

void GoldenReport::Fail(std::string what) {
  ++total_;
  if (first_mismatch_.empty()) first_mismatch_ = std::move(what);
}

void GoldenReport::Print() const {
  std::printf("%s: %d/%d\n", name_.c_str(), passed_, total_);
  if (!first_mismatch_.empty()) std::printf("  first mismatch: %s\n", first_mismatch_.c_str());
  std::fflush(stdout);
}

}  // namespace swiftlet
