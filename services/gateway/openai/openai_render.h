// The response objects of the OpenAI routes as text. What stays the same in all chunks of a stream is rendered once a
// request; a chunk is that prefix, the escaped delta, and a constant end: about 0.1 us, no tree, no allocation of its
// own. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/generation/generation.h"
#include "services/gateway/generation/generation_sink.h"

namespace swiftlet {

enum class OpenAiStyle { kChat, kCompletion };

// What every object of one answer repeats.
struct AnswerHead {
  OpenAiStyle style = OpenAiStyle::kChat;
  std::string id;
  int64_t created_unix_s = 0;
  std::string model;
};

// What a chunk carries beside its delta, rendered.
struct ChunkExtras {
  std::string_view echo = {};            // completions: text before the delta's
  std::string_view logprobs = "null";    // a value
  std::string_view choice_members = {};  // each with a comma before it
  std::string_view answer_members = {};
  const v1::Usage* usage = nullptr;  // so far
};

class ChunkRenderer {
 public:
  // `with_usage`: every chunk says "usage":null, as the one with the usage follows.
  ChunkRenderer(const AnswerHead& head, bool with_usage);

  // Appends one event with `delta` as choice `index`; `first`: it opens the choice.
  void AppendDelta(std::string& out, const ChoiceDelta& delta, int32_t index, bool first,
                   const ChunkExtras& extras = {}) const;
  // Appends the event that carries the usage and no choice.
  void AppendUsage(std::string& out, const v1::Usage& usage) const;

 private:
  const OpenAiStyle style_;
  std::string head_;  // up to the value of "choices"
  std::string end_;   // from the end of the choices
};

// One choice of an answer that is not streamed.
struct WholeChoice {
  std::string reasoning;
  std::string text;
  std::vector<ToolCallPiece> tool_calls;  // whole
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;
  std::string logprobs = "null";  // a value
  std::string members;            // each with a comma before it
};
std::string RenderWhole(const AnswerHead& head, const std::vector<WholeChoice>& choices, const v1::Usage& usage,
                        std::string_view answer_members);

std::string RenderModel(const Generator::ServedModel& model);
std::string RenderModelList(const std::vector<Generator::ServedModel>& models);

}  // namespace swiftlet
