#include "services/gateway/openapi/answer_schemas.h"

namespace swiftlet {
namespace {

constexpr std::string_view kSchemas = R"json({
"Usage": {"type": "object", "additionalProperties": false,
  "required": ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"],
  "properties": {
    "prompt_tokens": {"type": "integer", "minimum": 0},
    "completion_tokens": {"type": "integer", "minimum": 0},
    "total_tokens": {"type": "integer", "minimum": 0},
    "prompt_tokens_details": {"type": "object", "additionalProperties": false, "required": ["cached_tokens"],
      "properties": {"cached_tokens": {"type": "integer", "minimum": 0}}},
    "completion_tokens_details": {"type": "object", "additionalProperties": false, "required": ["reasoning_tokens"],
      "properties": {"reasoning_tokens": {"type": "integer", "minimum": 0}}}}},
"TokenIds": {"type": "array", "items": {"type": "integer", "minimum": 0}},
"FinishReason": {"type": "string", "enum": ["stop", "length", "tool_calls", "error"]},
"TokenLogprob": {"type": "object", "additionalProperties": false, "required": ["token", "logprob", "bytes"],
  "properties": {
    "token": {"type": "string"},
    "logprob": {"type": "number", "maximum": 0},
    "bytes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
    "top_logprobs": {"type": "array", "items": {"$ref": "#/components/schemas/TokenLogprob"}}}},
"ChatLogprobs": {"type": ["object", "null"], "additionalProperties": false, "required": ["content", "refusal"],
  "properties": {
    "content": {"type": "array", "items": {"$ref": "#/components/schemas/TokenLogprob"}},
    "refusal": {"type": "null"}}},
"CompletionLogprobs": {"type": ["object", "null"], "additionalProperties": false,
  "required": ["tokens", "token_logprobs", "top_logprobs", "text_offset"],
  "properties": {
    "tokens": {"type": "array", "items": {"type": "string"}},
    "token_logprobs": {"type": "array", "items": {"type": ["number", "null"], "maximum": 0}},
    "top_logprobs": {"type": "array", "items": {"type": ["object", "null"],
      "additionalProperties": {"type": "number", "maximum": 0}}},
    "text_offset": {"type": "array", "items": {"type": "integer", "minimum": 0}}}},
"PromptLogprobs": {"type": "array", "items": {"type": ["object", "null"],
  "propertyNames": {"pattern": "^[0-9]+$"},
  "additionalProperties": {"type": "object", "additionalProperties": false,
    "required": ["logprob", "rank", "decoded_token"],
    "properties": {
      "logprob": {"type": "number", "maximum": 0},
      "rank": {"type": ["integer", "null"], "minimum": 1},
      "decoded_token": {"type": "string"}}}}},
"ToolCall": {"type": "object", "additionalProperties": false, "required": ["id", "type", "function"],
  "properties": {
    "id": {"type": "string"},
    "type": {"const": "function"},
    "function": {"type": "object", "additionalProperties": false, "required": ["name", "arguments"],
      "properties": {"name": {"type": "string"}, "arguments": {"type": "string"}}}}},
"ToolCallPart": {"type": "object", "additionalProperties": false, "required": ["index", "function"],
  "properties": {
    "index": {"type": "integer", "minimum": 0},
    "id": {"type": "string"},
    "type": {"const": "function"},
    "function": {"type": "object", "additionalProperties": false, "required": ["arguments"],
      "properties": {"name": {"type": "string"}, "arguments": {"type": "string"}}}}},
"ChatCompletion": {"type": "object", "additionalProperties": false,
  "required": ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"],
  "properties": {
    "id": {"type": "string"},
    "object": {"const": "chat.completion"},
    "created": {"type": "integer"},
    "model": {"type": "string"},
    "system_fingerprint": {"type": "null"},
    "choices": {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": false,
      "required": ["index", "message", "logprobs", "finish_reason"],
      "properties": {
        "index": {"type": "integer", "minimum": 0},
        "message": {"type": "object", "additionalProperties": false,
          "required": ["role", "content", "reasoning_content", "refusal"],
          "properties": {
            "role": {"const": "assistant"},
            "content": {"type": ["string", "null"]},
            "reasoning_content": {"type": ["string", "null"]},
            "refusal": {"type": "null"},
            "tool_calls": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ToolCall"}}}},
        "logprobs": {"$ref": "#/components/schemas/ChatLogprobs"},
        "finish_reason": {"$ref": "#/components/schemas/FinishReason"},
        "token_ids": {"$ref": "#/components/schemas/TokenIds"}}}},
    "prompt_token_ids": {"$ref": "#/components/schemas/TokenIds"},
    "prompt_logprobs": {"$ref": "#/components/schemas/PromptLogprobs"},
    "usage": {"$ref": "#/components/schemas/Usage"}}},
"ChatCompletionChunk": {"type": "object", "additionalProperties": false,
  "required": ["id", "object", "created", "model", "system_fingerprint", "choices"],
  "properties": {
    "id": {"type": "string"},
    "object": {"const": "chat.completion.chunk"},
    "created": {"type": "integer"},
    "model": {"type": "string"},
    "system_fingerprint": {"type": "null"},
    "choices": {"type": "array", "items": {"type": "object", "additionalProperties": false,
      "required": ["index", "delta", "logprobs", "finish_reason"],
      "properties": {
        "index": {"type": "integer", "minimum": 0},
        "delta": {"type": "object", "additionalProperties": false,
          "properties": {
            "role": {"const": "assistant"},
            "content": {"type": ["string", "null"]},
            "reasoning_content": {"type": "string"},
            "tool_calls": {"type": "array", "minItems": 1,
              "items": {"$ref": "#/components/schemas/ToolCallPart"}}}},
        "logprobs": {"$ref": "#/components/schemas/ChatLogprobs"},
        "finish_reason": {"anyOf": [{"$ref": "#/components/schemas/FinishReason"}, {"type": "null"}]},
        "token_ids": {"$ref": "#/components/schemas/TokenIds"}}}},
    "prompt_token_ids": {"$ref": "#/components/schemas/TokenIds"},
    "prompt_logprobs": {"$ref": "#/components/schemas/PromptLogprobs"},
    "usage": {"anyOf": [{"$ref": "#/components/schemas/Usage"}, {"type": "null"}]}}},
"CompletionChoice": {"type": "object", "additionalProperties": false,
  "required": ["index", "text", "logprobs", "finish_reason"],
  "properties": {
    "index": {"type": "integer", "minimum": 0},
    "text": {"type": "string"},
    "logprobs": {"$ref": "#/components/schemas/CompletionLogprobs"},
    "finish_reason": {"anyOf": [{"$ref": "#/components/schemas/FinishReason"}, {"type": "null"}]},
    "token_ids": {"$ref": "#/components/schemas/TokenIds"},
    "prompt_token_ids": {"$ref": "#/components/schemas/TokenIds"},
    "prompt_logprobs": {"$ref": "#/components/schemas/PromptLogprobs"}}},
"Completion": {"description": "also each event of a stream", "type": "object", "additionalProperties": false,
  "required": ["id", "object", "created", "model", "system_fingerprint", "choices"],
  "properties": {
    "id": {"type": "string"},
    "object": {"const": "text_completion"},
    "created": {"type": "integer"},
    "model": {"type": "string"},
    "system_fingerprint": {"type": "null"},
    "choices": {"type": "array", "items": {"$ref": "#/components/schemas/CompletionChoice"}},
    "usage": {"anyOf": [{"$ref": "#/components/schemas/Usage"}, {"type": "null"}]}}},
"Model": {"type": "object", "additionalProperties": false,
  "required": ["id", "object", "created", "owned_by", "max_model_len"],
  "properties": {
    "id": {"type": "string"},
    "object": {"const": "model"},
    "created": {"type": "integer"},
    "owned_by": {"const": "swiftlet"},
    "max_model_len": {"type": "integer", "minimum": 0}}},
"ModelList": {"type": "object", "additionalProperties": false, "required": ["object", "data"],
  "properties": {
    "object": {"const": "list"},
    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}},
"Tokenized": {"type": "object", "additionalProperties": false,
  "required": ["count", "max_model_len", "tokens", "token_strs"],
  "properties": {
    "count": {"type": "integer", "minimum": 0},
    "max_model_len": {"type": "integer", "minimum": 0},
    "tokens": {"$ref": "#/components/schemas/TokenIds"},
    "token_strs": {"type": ["array", "null"], "items": {"type": "string"}}}},
"Detokenized": {"type": "object", "additionalProperties": false, "required": ["prompt"],
  "properties": {"prompt": {"type": "string"}}},
"Version": {"type": "object", "additionalProperties": false, "required": ["version"],
  "properties": {"version": {"type": "string"}}},
"Alive": {"type": "object", "additionalProperties": false, "required": ["status"],
  "properties": {"status": {"const": "alive"}}},
"Ready": {"type": "object", "additionalProperties": false, "required": ["status"],
  "properties": {"status": {"const": "ready"}}},
"NotReady": {"type": "object", "additionalProperties": false, "required": ["status", "reason"],
  "properties": {"status": {"const": "not ready"}, "reason": {"type": "string"}}},
"Document": {"type": "object", "required": ["openapi", "info", "paths", "components"]}
})json";

}  // namespace

std::string_view AnswerSchemas() {
  return kSchemas;
}

}  // namespace swiftlet
