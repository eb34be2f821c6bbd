// What an answer without the engine needs of a Submit. Plain data; a copy goes with a grammar that is being compiled.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <vector>

#include "engine/runtime/generation_request.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

struct Refusable {
  // Of a Submit that nobody has checked yet.
  explicit Refusable(const v1::Submit& submit);

  // The end of every choice; why is in `status`, which is not OK.
  std::vector<SequenceOutput> Outputs(const absl::Status& status) const;

  uint64_t id;
  uint32_t epoch;
  std::vector<int32_t> first_indexes;  // by choice
};

}  // namespace swiftlet
