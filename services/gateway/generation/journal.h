// What the gateway knows of one request's output, whoever generated it: the accepted ids of every choice, and which
// message may add to them. It is what a request is resumed from, and what usage is counted from.
// Owned by its RequestConductor, on the home executor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "swiftlet/v1/common.pb.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

class Journal {
 public:
  explicit Journal(int32_t num_choices);

  enum class Verdict {
    kAccept,  // the current epoch, an open choice, exactly the next index
    kIgnore,  // from an earlier epoch, for a finished choice, or seen before
    kBroken,  // something is missing before it, or it names no choice: this epoch cannot go on
  };
  Verdict Judge(const v1::SequenceOutput& output) const;

  void Append(int32_t choice, std::span<const int32_t> ids);
  // The choice has ended, `reason` says why; it accepts nothing more.
  void Close(int32_t choice, v1::FinishReason reason);
  // Another worker takes over: messages of the former ones are ignored from now on.
  void BeginEpoch() { ++epoch_; }

  uint32_t epoch() const { return epoch_; }
  int32_t num_choices() const { return static_cast<int32_t>(choices_.size()); }
  int32_t num_open() const { return num_open_; }
  bool is_open(int32_t choice) const { return choices_[choice].reason == v1::FINISH_REASON_UNSPECIFIED; }
  v1::FinishReason finish_reason(int32_t choice) const { return choices_[choice].reason; }
  const std::vector<int32_t>& ids(int32_t choice) const { return choices_[choice].ids; }
  int32_t completion_tokens() const { return completion_tokens_; }

 private:
  struct Choice {
    std::vector<int32_t> ids;
    v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
  };
  std::vector<Choice> choices_;
  uint32_t epoch_ = 0;
  int32_t num_open_;
  int32_t completion_tokens_ = 0;  // sum of the choices' ids
};

}  // namespace swiftlet
