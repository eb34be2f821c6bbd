// What a bare send() costs on this machine: a process that does nothing else writes to as many loopback connections as
// there are streams, at the gateway's pace, while this one reads them as the load program does.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>

namespace swiftlet {

struct SendFloorOptions {
  int32_t streams = 1024;
  int64_t bytes = 230;      // of one send
  double step_us = 50'000;  // one send to each stream
  double seconds = 4;
};

struct SendFloorResult {
  int64_t sends = 0;
  double us_per_send = 0;  // user and system time of the sending process
};

absl::StatusOr<SendFloorResult> MeasureSendFloor(const SendFloorOptions& options);

}  // namespace swiftlet
