#include "services/gateway/openai/openai_render.h"

#include "services/gateway/generation/finish_reason.h"
#include "services/gateway/http/sse.h"
#include "services/gateway/json_writer.h"

namespace swiftlet {
namespace {

void AppendHead(std::string& out, const AnswerHead& head, std::string_view object) {
  out += R"({"id":)";
  AppendJsonString(out, head.id);
  out += R"(,"object":)";
  AppendJsonString(out, object);
  out += R"(,"created":)";
  AppendJsonInt(out, head.created_unix_s);
  out += R"(,"model":)";
  AppendJsonString(out, head.model);
  out += R"(,"system_fingerprint":null,"choices":[)";
}

void AppendUsageObject(std::string& out, const v1::Usage& usage) {
  out += R"({"prompt_tokens":)";
  AppendJsonInt(out, usage.prompt_tokens());
  out += R"(,"completion_tokens":)";
  AppendJsonInt(out, usage.completion_tokens());
  out += R"(,"total_tokens":)";
  AppendJsonInt(out, static_cast<int64_t>(usage.prompt_tokens()) + usage.completion_tokens());
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  AppendJsonInt(out, usage.cached_tokens());
  out += R"(},"completion_tokens_details":{"reasoning_tokens":)";
  AppendJsonInt(out, usage.reasoning_tokens());
  out += "}}";
}

// A call, or in a chunk a part of one: what its first part alone has is left out of the others.
void AppendToolCall(std::string& out, const ToolCallPiece& call, bool chunk) {
  out += '{';
  if (chunk) {
    out += R"("index":)";
    AppendJsonInt(out, call.index);
    out += ',';
  }
  if (!call.name.empty()) {
    out += R"("id":)";
    AppendJsonString(out, call.id);
    out += R"(,"type":"function",)";
  }
  out += R"("function":{)";
  if (!call.name.empty()) {
    out += R"("name":)";
    AppendJsonString(out, call.name);
    out += ',';
  }
  out += R"("arguments":)";
  AppendJsonString(out, call.arguments);
  out += "}}";
}

void AppendToolCalls(std::string& out, const std::vector<ToolCallPiece>& calls, bool chunk) {
  out += R"("tool_calls":[)";
  for (size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) out += ',';
    AppendToolCall(out, calls[i], chunk);
  }
  out += ']';
}

// The value of "finish_reason".
void AppendFinish(std::string& out, v1::FinishReason reason) {
  if (reason == v1::FINISH_REASON_UNSPECIFIED) {
    out += "null";
  } else {
    AppendJsonString(out, FinishReasonName(reason));
  }
}

}  // namespace

ChunkRenderer::ChunkRenderer(const AnswerHead& head, bool with_usage) : style_(head.style) {
  head_ = sse::kDataPrefix;
  AppendHead(head_, head, style_ == OpenAiStyle::kChat ? "chat.completion.chunk" : "text_completion");
  end_ = with_usage ? R"(,"usage":null})" : "}";
  end_ += sse::kEventEnd;
}

void ChunkRenderer::AppendDelta(std::string& out, const ChoiceDelta& delta, int32_t index, bool first,
                                const ChunkExtras& extras) const {
  out += head_;
  out += R"({"index":)";
  AppendJsonInt(out, index);
  if (style_ == OpenAiStyle::kChat) {
    out += R"(,"delta":{)";
    std::string_view comma;
    if (first) {
      out += R"("role":"assistant")";
      comma = ",";
    }
    if (!delta.reasoning.empty()) {
      out += comma;
      out += R"("reasoning_content":)";
      AppendJsonString(out, delta.reasoning);
      comma = ",";
    }
    const bool calls = !delta.tool_calls.empty();
    if (!delta.text.empty() || (first && delta.reasoning.empty())) {
      out += comma;
      out += R"("content":)";
      if (delta.text.empty() && calls) {
        out += "null";
      } else {
        AppendJsonString(out, delta.text);
      }
      comma = ",";
    }
    if (calls) {
      out += comma;
      AppendToolCalls(out, delta.tool_calls, /*chunk=*/true);
    }
    out += "}";
  } else {
    out += R"(,"text":")";
    AppendJsonEscaped(out, extras.echo);
    AppendJsonEscaped(out, delta.reasoning);
    AppendJsonEscaped(out, delta.text);
    out += '"';
  }
  out += R"(,"logprobs":)";
  out += extras.logprobs;
  out += R"(,"finish_reason":)";
  AppendFinish(out, delta.finish_reason);
  out += extras.choice_members;
  out += "}]";
  out += extras.answer_members;
  if (extras.usage == nullptr) {
    out += end_;
    return;
  }
  out += R"(,"usage":)";
  AppendUsageObject(out, *extras.usage);
  out += '}';
  out += sse::kEventEnd;
}

void ChunkRenderer::AppendUsage(std::string& out, const v1::Usage& usage) const {
  out += head_;
  out += R"(],"usage":)";
  AppendUsageObject(out, usage);
  out += '}';
  out += sse::kEventEnd;
}

std::string RenderWhole(const AnswerHead& head, const std::vector<WholeChoice>& choices, const v1::Usage& usage,
                        std::string_view answer_members) {
  std::string out;
  const bool chat = head.style == OpenAiStyle::kChat;
  AppendHead(out, head, chat ? "chat.completion" : "text_completion");
  for (size_t i = 0; i < choices.size(); ++i) {
    const WholeChoice& choice = choices[i];
    if (i > 0) out += ',';
    out += R"({"index":)";
    AppendJsonInt(out, static_cast<int64_t>(i));
    if (chat) {
      out += R"(,"message":{"role":"assistant","content":)";
      if (choice.text.empty() && !choice.tool_calls.empty()) {
        out += "null";
      } else {
        AppendJsonString(out, choice.text);
      }
      out += R"(,"reasoning_content":)";
      if (choice.reasoning.empty()) {
        out += "null";
      } else {
        AppendJsonString(out, choice.reasoning);
      }
      out += R"(,"refusal":null)";
      if (!choice.tool_calls.empty()) {
        out += ',';
        AppendToolCalls(out, choice.tool_calls, /*chunk=*/false);
      }
      out += '}';
    } else {
      out += R"(,"text":)";
      AppendJsonString(out, choice.text);
    }
    out += R"(,"logprobs":)";
    out += choice.logprobs;
    out += R"(,"finish_reason":)";
    AppendFinish(out, choice.finish_reason);
    out += choice.members;
    out += '}';
  }
  out += ']';
  out += answer_members;
  out += R"(,"usage":)";
  AppendUsageObject(out, usage);
  out += '}';
  return out;
}

std::string RenderModel(const Generator::ServedModel& model) {
  std::string out = R"({"id":)";
  AppendJsonString(out, model.name);
  out += R"(,"object":"model","created":)";
  AppendJsonInt(out, model.created_unix_s);
  out += R"(,"owned_by":"swiftlet","max_model_len":)";
  AppendJsonInt(out, model.max_model_len);
  out += '}';
  return out;
}

std::string RenderModelList(const std::vector<Generator::ServedModel>& models) {
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < models.size(); ++i) {
    if (i > 0) out += ',';
    out += RenderModel(models[i]);
  }
  out += "]}";
  return out;
}

}  // namespace swiftlet
