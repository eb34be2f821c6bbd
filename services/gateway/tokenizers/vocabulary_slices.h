// A model's vocabulary as a worker needs it for grammars, cut into messages. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "services/common/limits.h"
#include "services/gateway/model_directory.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

// Fills `slice` from `first_id` on, up to about `max_bytes`, and returns the id after it. The last one says so and has
// the ends of sequence. `model` has its vocabulary.
int32_t FillVocabularySlice(const DirectoryEntry& model, int32_t first_id, v1::VocabularySlice& slice,
                            size_t max_bytes = limits::kMaxVocabularySliceBytes);

}  // namespace swiftlet
