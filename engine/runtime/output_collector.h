// Gathers what one step did into one message a sink: at most one SequenceOutput for each choice.
// Owned by the Engine; step thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/runtime/generation_request.h"

namespace swiftlet {

class OutputCollector {
 public:
  // The output of this choice in this step, made on first use. `request` is the engine's own number, `tag` the
  // caller's.
  SequenceOutput& Output(uint64_t request, int32_t choice, uint64_t tag, const std::shared_ptr<OutputSink>& sink);

  // Calls every sink once, in order of first use, and forgets all.
  void Deliver();

 private:
  struct Message {
    std::shared_ptr<OutputSink> sink;
    std::vector<SequenceOutput> outputs;
  };
  std::vector<Message> messages_;
  std::map<std::pair<uint64_t, int32_t>, std::pair<size_t, size_t>> places_;  // message and index in it
};

}  // namespace swiftlet
