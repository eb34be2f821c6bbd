// Every limit on what a caller may send, for all doors: gateway, tokenizer and worker check against the same numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swiftlet::limits {

inline constexpr size_t kMaxBodyBytes = 8 << 20;        // a caller's request: HTTP body (413 above) or gRPC message
inline constexpr size_t kMaxHeaderBytes = 32 << 10;     // HTTP request line and headers; 431 above
inline constexpr size_t kMaxJsonDepth = 32;             // nested arrays and objects
inline constexpr int kMaxGrpcMessageBytes = 64 << 20;   // between our processes, either direction
inline constexpr size_t kMaxPromptTextBytes = 4 << 20;  // one prompt, or all messages of a chat together
inline constexpr size_t kMaxMessages = 1024;            // messages of a chat
inline constexpr size_t kMaxNameBytes = 64;             // message names, submitted cache salts, caller's request ids
inline constexpr size_t kMaxCacheSaltBytes = 256;       // as a caller gives it: a hash in any spelling fits
inline constexpr size_t kMaxListEntries = 1 << 16;      // of a transcoded body's list or map, but for lists of numbers
inline constexpr int32_t kMaxChoices = 128;             // n
inline constexpr int32_t kMaxLogprobs = 20;             // top log-probabilities a position
// Log-probabilities and ids in one answer: prompt (as often as it is told) and output, each with its top ones.
inline constexpr int64_t kMaxLogprobEntries = 1 << 20;
inline constexpr size_t kMaxStopStrings = 16;
inline constexpr size_t kMaxStopBytes = 256;      // one stop string
inline constexpr size_t kMaxStopTokenIds = 64;    // of the caller; the model's end-of-sequence ids come on top
inline constexpr size_t kMaxLogitBias = 1024;     // entries
inline constexpr float kMaxLogitBiasValue = 100;  // either sign
inline constexpr float kMaxTemperature = 2;
inline constexpr float kMaxPenalty = 2;       // presence and frequency, either sign; repetition (0, 2]
inline constexpr int32_t kMaxPriority = 100;  // either sign
inline constexpr int64_t kMaxTimeoutMs = 24LL * 3600 * 1000;
inline constexpr size_t kMaxGrammarBytes = 256 << 10;  // a schema, or all of the tools together
inline constexpr size_t kMaxTools = 128;
inline constexpr size_t kMaxTagBytes = 64;                    // around reasoning or a call of a tool
inline constexpr size_t kMaxTagIds = 16;                      // of a tag around reasoning
inline constexpr size_t kMaxVocabularySliceBytes = 64 << 10;  // one VocabularySlice message
inline constexpr size_t kMaxStepOutputsBytes = 64 << 10;      // one StepOutputs message
inline constexpr size_t kMaxStreamBacklogBytes = 256 << 10;  // unsent output of one stream before its caller is cut off

}  // namespace swiftlet::limits
