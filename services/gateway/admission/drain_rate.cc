#include "services/gateway/admission/drain_rate.h"

#include <cmath>
#include <utility>

namespace swiftlet {

void DrainRate::Advance(int64_t now_us, bool busy) {
  const int64_t before_us = std::exchange(last_us_, now_us);
  if (!busy || before_us < 0 || now_us <= before_us) return;
  const double kept = std::exp(static_cast<double>(before_us - now_us) * 1e-6 / kWindowSeconds);
  sum_ *= kept;
  measured_seconds_ = measured_seconds_ * kept + (1 - kept) * kWindowSeconds;
}

}  // namespace swiftlet
