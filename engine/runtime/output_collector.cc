#include "engine/runtime/output_collector.h"

#include <algorithm>

namespace swiftlet {

SequenceOutput& OutputCollector::Output(uint64_t request, int32_t choice, uint64_t tag,
                                        const std::shared_ptr<OutputSink>& sink) {
  const auto [place, added] = places_.try_emplace({request, choice});
  if (added) {
    auto message = std::ranges::find(messages_, sink, &Message::sink);
    if (message == messages_.end()) message = messages_.insert(messages_.end(), {sink, {}});
    place->second = {static_cast<size_t>(message - messages_.begin()), message->outputs.size()};
    SequenceOutput& output = message->outputs.emplace_back();
    output.request = tag;
    output.choice = choice;
  }
  return messages_[place->second.first].outputs[place->second.second];
}

void OutputCollector::Deliver() {
  for (Message& message : messages_) message.sink->OnStep(std::move(message.outputs));
  messages_.clear();
  places_.clear();
}

}  // namespace swiftlet
