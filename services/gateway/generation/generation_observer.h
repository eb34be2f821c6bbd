// What the conductor tells of each request to whoever counts: the hooks for metrics. Calls come on any home executor;
// implementations are thread-safe and fast.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <string>
#include <vector>

#include "swiftlet/v1/common.pb.h"

namespace swiftlet {

// A request that has ended.
struct RequestRecord {
  std::string model;
  std::string key_name;                             // whose API key it was; empty = keys are not needed
  absl::StatusCode status = absl::StatusCode::kOk;  // kCancelled when its caller went away
  std::string refusal;                              // why it was turned away: a word of kRefusals; empty = it was not
  std::vector<v1::FinishReason> finish_reasons;     // by choice; what had not finished when the request ended takes
                                                    // CANCELLED, DEADLINE or ERROR
  v1::Usage usage;
  int64_t encode_us = -1;       // arrival to prompt ids; -1 = did not come so far
  int64_t queue_us = -1;        // Submit to first planned, as the worker measured it
  int64_t first_token_us = -1;  // arrival to first token
  int64_t total_us = 0;         // arrival to end
  int32_t resumptions = 0;      // times another worker took over
};

// Why requests are turned away before their first token.
inline constexpr const char* kRefusals[] = {
    "requests",      // --max-requests
    "tokens",        // --max-outstanding-tokens
    "deadline",      // those ahead of it take longer than it has time
    "key_requests",  // over its API key's limits
    "key_tokens",
    "tokenizer",    // the tokenizers' queues are full
    "worker",       // the workers' queues are full
    "unavailable",  // no worker or tokenizer that serves the model
    "stopping",     // this gateway drains
};

// Those of one model.
class ModelObserver {
 public:
  virtual ~ModelObserver() = default;
  virtual void OnBegin() = 0;
  virtual void OnFirstToken(int64_t since_arrival_us) = 0;
  // A choice got `tokens` more, `gap_us` after the ones before; -1 = its first ones.
  virtual void OnTokens(int64_t gap_us, int32_t tokens) = 0;
  // Once for each OnBegin.
  virtual void OnEnd(const RequestRecord& record) = 0;
};

class GenerationObserver {
 public:
  virtual ~GenerationObserver() = default;
  // Of a model's requests; "" = of those whose model was not found. Lives as long as this. Once a request: it may look
  // the name up.
  virtual ModelObserver& Of(const std::string& model) = 0;
};

// Counts nothing.
class NullObserver : public GenerationObserver, public ModelObserver {
 public:
  ModelObserver& Of(const std::string&) override { return *this; }
  void OnBegin() override {}
  void OnFirstToken(int64_t) override {}
  void OnTokens(int64_t, int32_t) override {}
  void OnEnd(const RequestRecord&) override {}
};

}  // namespace swiftlet
