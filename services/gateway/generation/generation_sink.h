// Where a Generation puts what it makes: one implementation per door (OpenAI chat, OpenAI completions, gRPC).
// Owned by the Generation; called on the generation's home executor alone, so it needs no lock.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "services/text/decode/decoder_rules.h"
#include "services/text/decode/tool_call_parser.h"
#include "services/text/decode/vocabulary.h"
#include "swiftlet/v1/common.pb.h"

namespace swiftlet {

// What is known of the prompt when the answer begins.
struct PromptFacts {
  std::span<const int32_t> ids;  // valid during the call alone
  std::shared_ptr<const Vocabulary> vocabulary;
  DecoderRules join;  // how the vocabulary's bytes join to text
};

// What was added to one choice since the last event.
struct ChoiceDelta {
  int32_t choice = 0;
  std::string reasoning;  // whole UTF-8 characters; either may be empty
  std::string text;
  std::vector<ToolCallPiece> tool_calls;       // what was added to its calls of tools
  int32_t num_tokens = 0;                      // accepted since the last event, stop tokens included
  std::vector<int32_t> token_ids;              // these, when asked for
  std::vector<v1::PositionLogprobs> logprobs;  // one per token, when asked for
  std::vector<int32_t> text_offsets;           // one per token, with logprobs: characters that those before it make
  // When asked for: of every prompt position but the first, at once, in the first delta of choice 0, with which the
  // answer begins.
  std::vector<v1::PositionLogprobs> prompt_logprobs;
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;  // in the choice's last delta, exactly once
};

class GenerationSink {
 public:
  virtual ~GenerationSink() = default;

  // The prompt is encoded and the request accepted by a worker; a streamed answer may send its head.
  virtual void OnStart(const PromptFacts& prompt) = 0;
  // Deltas of one step, one per choice that moved. May be called many times, after OnStart.
  virtual void OnDeltas(std::vector<ChoiceDelta> deltas) = 0;
  // The last call, exactly once, with or without OnStart before it. OK: every choice has finished.
  virtual void OnEnd(const absl::Status& status, const v1::Usage& usage) = 0;
};

}  // namespace swiftlet
