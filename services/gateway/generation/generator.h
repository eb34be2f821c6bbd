// The Generator of this gateway: starts a RequestConductor for every request and keeps account of those alive. Owned by
// main.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <unordered_map>
#include <vector>

#include "services/gateway/admission/admission.h"
#include "services/gateway/clock.h"
#include "services/gateway/generation/generation.h"
#include "services/gateway/generation/generation_observer.h"
#include "services/gateway/model_directory.h"
#include "services/gateway/request/tool_formats.h"
#include "services/gateway/tokenizers/tokenizer_pool.h"
#include "services/gateway/workers/worker_pool.h"

namespace swiftlet {

class RequestConductor;

// What conductors work with. All of it outlives them and is thread-safe.
struct GenerationParts {
  Clock& clock;
  const ModelDirectory& directory;
  TokenizerPool& tokenizers;
  WorkerPool& workers;
  Admission& admission;
  GenerationObserver& observer;
  std::function<uint64_t()> random;  // seeds of requests that bring none; any thread
};

struct GenerationOptions {
  int32_t max_resumptions = 3;          // workers that may be lost under one request
  int64_t worker_wait_us = 10'000'000;  // for a worker to come (back) before the request ends UNAVAILABLE
  int64_t worker_poll_us = 50'000;      // while waiting
  int64_t encode_timeout_us = 30'000'000;
  int64_t retry_after_ms = 1000;  // told with UNAVAILABLE
  ToolParser tool_parser = ToolParser::kAuto;
};

// 64 random bits from the operating system, each call.
uint64_t RandomSeed();

// The seeds of requests that bring none, from one random start: asking the system for each took 1 % of a busy gateway.
class RandomSeeds {
 public:
  // Any thread.
  uint64_t Next() {
    std::lock_guard<std::mutex> lock(mutex_);
    return numbers_();
  }

 private:
  std::mutex mutex_;
  std::mt19937_64 numbers_{RandomSeed()};  // guarded by mutex_
};

class GatewayGenerator : public Generator {
 public:
  GatewayGenerator(const GenerationParts& parts, const GenerationOptions& options);
  ~GatewayGenerator() override;

  std::shared_ptr<GenerationHandle> Start(ValidRequest request, std::unique_ptr<GenerationSink> sink,
                                          Executor home) override;
  void Tokenize(ValidRequest request, Executor home, TokenizeCallback done) override;
  absl::StatusOr<std::string> Detokenize(const std::string& model, std::span<const int32_t> ids,
                                         const std::shared_ptr<KeyAccount>& account) const override;
  std::vector<ServedModel> Models() const override;

  // Requests that have not ended. Any thread.
  int64_t active() const;
  // Any thread. New requests are refused with UNAVAILABLE; those alive go on.
  void Refuse();
  // Any thread. Each request alive ends with `status`, on its home.
  void EndAll(const absl::Status& status);

 private:
  friend class RequestConductor;
  uint64_t NextRequestId();
  void Forget(const RequestConductor* generation);

  struct Alive {
    std::weak_ptr<RequestConductor> generation;
    Executor home;
  };
  const GenerationParts parts_;
  const GenerationOptions options_;
  mutable std::mutex mutex_;
  std::unordered_map<const RequestConductor*, Alive> alive_;  // guarded by mutex_
  bool refusing_ = false;                                     // guarded by mutex_
  uint64_t next_request_id_ = 1;                              // guarded by mutex_
};

}  // namespace swiftlet
