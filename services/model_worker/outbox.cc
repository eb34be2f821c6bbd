#include "services/model_worker/outbox.h"

#include <algorithm>
#include <iterator>

#include "engine/base/check.h"

namespace swiftlet {
namespace {

// Upper bounds on the wire. A TokenLogprob: 2 bytes of header, tag and varint up to 11, tag and float 5.
constexpr size_t kIdBytes = 5;
constexpr size_t kFixedBytes = 96;
constexpr size_t kCandidateBytes = 18;
constexpr size_t kMaxStatusBytes = 1024;

size_t PositionBytes(const PositionLogprobs& position) {
  return 4 + kCandidateBytes * (1 + position.top.size());
}

size_t OutputBytes(const SequenceOutput& output) {
  size_t bytes = kFixedBytes + kIdBytes * output.ids.size() + std::min(output.status.message().size(), kMaxStatusBytes);
  for (const PositionLogprobs& position : output.logprobs) bytes += PositionBytes(position);
  for (const PositionLogprobs& position : output.prompt_logprobs) bytes += PositionBytes(position);
  return bytes;
}

void ToProto(const TokenLogprob& from, v1::TokenLogprob& to) {
  to.set_token_id(from.token_id);
  to.set_logprob(from.logprob);
}

void ToProto(const PositionLogprobs& from, v1::PositionLogprobs& to) {
  ToProto(from.chosen, *to.mutable_chosen());
  for (const TokenLogprob& candidate : from.top) ToProto(candidate, *to.add_top());
}

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return v1::FINISH_REASON_UNSPECIFIED;
    case FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kCancelled:
      return v1::FINISH_REASON_CANCELLED;
    case FinishReason::kDeadline:
      return v1::FINISH_REASON_DEADLINE;
    case FinishReason::kError:
      return v1::FINISH_REASON_ERROR;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

template <typename T>
void Append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void Outbox::Add(SequenceOutput output, uint32_t epoch) {
  bytes_ += OutputBytes(output);
  const Key key{output.request, output.choice};
  const auto [position, is_new] = entries_.try_emplace(key);
  Entry& entry = position->second;
  if (is_new) {
    order_.push_back(key);
    entry.output = std::move(output);
    entry.epoch = epoch;
    return;
  }
  SequenceOutput& waiting = entry.output;
  CHECK(waiting.finish_reason == FinishReason::kNone) << "output after the end of request " << key.first;
  if (waiting.ids.empty()) waiting.first_index = output.first_index;
  CHECK(output.ids.empty() || output.first_index == waiting.first_index + static_cast<int32_t>(waiting.ids.size()))
      << "first index " << output.first_index << " after " << waiting.first_index << " + " << waiting.ids.size();
  if (waiting.prompt_logprobs.empty()) waiting.prompt_logprobs_begin = output.prompt_logprobs_begin;
  Append(waiting.ids, output.ids);
  Append(waiting.logprobs, output.logprobs);
  Append(waiting.prompt_logprobs, output.prompt_logprobs);
  waiting.cached_tokens = std::max(waiting.cached_tokens, output.cached_tokens);
  waiting.queue_us = std::max(waiting.queue_us, output.queue_us);
  waiting.finish_reason = output.finish_reason;
  waiting.status = std::move(output.status);
}

bool Outbox::TakePiece(Entry& entry, size_t max_bytes, v1::SequenceOutput& piece, size_t& piece_bytes) {
  SequenceOutput& output = entry.output;
  piece_bytes = kFixedBytes;
  piece.set_request_id(output.request);
  piece.set_choice(output.choice);
  piece.set_epoch(entry.epoch);
  if (output.cached_tokens > 0) piece.set_cached_tokens(std::exchange(output.cached_tokens, 0));
  if (output.queue_us > 0) piece.set_queue_us(std::exchange(output.queue_us, 0));
  if (entry.prompt_sent < output.prompt_logprobs.size()) {
    piece.set_prompt_logprobs_begin(output.prompt_logprobs_begin + static_cast<int32_t>(entry.prompt_sent));
  }
  while (entry.prompt_sent < output.prompt_logprobs.size()) {
    const PositionLogprobs& position = output.prompt_logprobs[entry.prompt_sent];
    const size_t bytes = PositionBytes(position);
    if (piece_bytes + bytes > max_bytes) return false;
    ToProto(position, *piece.add_prompt_logprobs());
    piece_bytes += bytes;
    ++entry.prompt_sent;
  }
  piece.set_first_index(output.first_index + static_cast<int32_t>(entry.ids_sent));
  while (entry.ids_sent < output.ids.size()) {
    const bool has_logprobs = entry.ids_sent < output.logprobs.size();
    const size_t bytes = kIdBytes + (has_logprobs ? PositionBytes(output.logprobs[entry.ids_sent]) : 0);
    if (piece_bytes + bytes > max_bytes) return false;
    piece.add_ids(output.ids[entry.ids_sent]);
    if (has_logprobs) ToProto(output.logprobs[entry.ids_sent], *piece.add_logprobs());
    piece_bytes += bytes;
    ++entry.ids_sent;
  }
  if (output.finish_reason == FinishReason::kNone) return true;
  const std::string message(output.status.message().substr(0, kMaxStatusBytes));
  if (piece_bytes + message.size() > max_bytes) return false;
  piece_bytes += message.size();
  piece.set_finish_reason(ToProto(output.finish_reason));
  if (!output.status.ok()) {
    piece.set_status_code(static_cast<int32_t>(output.status.code()));
    piece.set_status_message(message);
  }
  return true;
}

bool Outbox::Take(size_t max_bytes, v1::StepOutputs& message) {
  size_t left = max_bytes - kFixedBytes;  // the load report
  const size_t piece_limit = max_bytes / 4;
  for (size_t turns = order_.size(); turns > 0 && left >= piece_limit; --turns) {
    const Key key = order_.front();
    order_.pop_front();
    const auto position = entries_.find(key);
    size_t piece_bytes = 0;
    if (TakePiece(position->second, piece_limit, *message.add_outputs(), piece_bytes)) {
      entries_.erase(position);
    } else {
      order_.push_back(key);
    }
    left -= piece_bytes;
    bytes_ -= std::min(bytes_, piece_bytes);
  }
  if (order_.empty()) bytes_ = 0;
  return message.outputs_size() > 0;
}

}  // namespace swiftlet
