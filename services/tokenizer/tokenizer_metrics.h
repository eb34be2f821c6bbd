// The figures of the tokenizer service. Owned by main, made at start; all of it is thread-safe.
#pragma once

#include <absl/status/status.h>

#include <array>
#include <cstddef>
#include <map>

#include "services/common/metrics.h"
#include "services/tokenizer/encode_pool.h"
#include "services/tokenizer/served_model.h"

namespace swiftlet {

enum class TokenizerMethod { kEncodePrompt, kEncodeChat, kGetVocabulary, kGetInfo };
inline constexpr size_t kTokenizerMethods = 4;

class TokenizerMetrics {
 public:
  explicit TokenizerMetrics(Metrics& metrics);

  // Adds the collector that reads both, which outlive the admin server.
  void Watch(const EncodePool& pool, const ServedModels& models);

  // A request has waited so long for a thread.
  void Waited(double seconds) { wait_.Observe(seconds); }
  // One request is over, `seconds` after it came.
  void Finished(TokenizerMethod method, absl::StatusCode code, double seconds);
  // What one encoding read and made.
  void Encoded(size_t bytes, size_t tokens);

 private:
  struct OfMethod {
    std::map<absl::StatusCode, prometheus::Counter*> requests;  // by code; never changed after construction
    prometheus::Histogram* seconds = nullptr;
  };
  std::array<OfMethod, kTokenizerMethods> methods_;
  Metrics& metrics_;
  prometheus::Gauge& waiting_;
  prometheus::Histogram& wait_;
  Metrics::Counters& cache_lookups_;
  Metrics::Counters& cache_hits_;
  prometheus::Counter& bytes_;
  prometheus::Counter& tokens_;
};

}  // namespace swiftlet
