#include "services/tokenizer/tokenizer_metrics.h"

#include <string>

namespace swiftlet {

namespace {

constexpr const char* kMethodNames[kTokenizerMethods] = {"EncodePrompt", "EncodeChat", "GetVocabulary", "GetInfo"};
constexpr absl::StatusCode kCodes[] = {absl::StatusCode::kOk,        absl::StatusCode::kInvalidArgument,
                                       absl::StatusCode::kNotFound,  absl::StatusCode::kResourceExhausted,
                                       absl::StatusCode::kCancelled, absl::StatusCode::kDeadlineExceeded,
                                       absl::StatusCode::kInternal};

}  // namespace

TokenizerMetrics::TokenizerMetrics(Metrics& metrics)
    : metrics_(metrics),
      waiting_(metrics.AddGauge("swiftlet_tokenizer_queue_requests", "Requests that wait for a thread.")),
      wait_(metrics.AddHistogram("swiftlet_tokenizer_queue_seconds", "Time that a request waited for a thread.",
                                 LatencyBuckets())),
      cache_lookups_(metrics.AddCounters("swiftlet_tokenizer_piece_cache_lookups_total",
                                         "Pieces of text sought among those encoded before.", {"model"})),
      cache_hits_(
          metrics.AddCounters("swiftlet_tokenizer_piece_cache_hits_total", "Part of these that was found.", {"model"})),
      bytes_(metrics.AddCounter("swiftlet_tokenizer_text_bytes_total", "Bytes of text encoded.")),
      tokens_(metrics.AddCounter("swiftlet_tokenizer_tokens_total", "Tokens made of them.")) {
  for (size_t i = 0; i < kTokenizerMethods; ++i) {
    for (const absl::StatusCode code : kCodes) {
      methods_[i].requests[code] =
          &metrics.AddCounter("swiftlet_tokenizer_requests_total", "Requests ended, by method and status code.",
                              {{"method", kMethodNames[i]}, {"code", absl::StatusCodeToString(code)}});
    }
    methods_[i].seconds =
        &metrics.AddHistogram("swiftlet_tokenizer_request_duration_seconds", "From a request's arrival to its answer.",
                              LatencyBuckets(), {{"method", kMethodNames[i]}});
  }
}

void TokenizerMetrics::Watch(const EncodePool& pool, const ServedModels& models) {
  metrics_.AddCollector([this, &pool, &models] {
    waiting_.Set(static_cast<double>(pool.waiting()));
    for (const auto& [name, model] : models) {
      const PieceCacheCounts counts = model.tokenizer->piece_cache();
      RaiseTo(cache_lookups_.Add({{"model", name}}), static_cast<double>(counts.lookups));
      RaiseTo(cache_hits_.Add({{"model", name}}), static_cast<double>(counts.hits));
    }
  });
}

void TokenizerMetrics::Finished(TokenizerMethod method, absl::StatusCode code, double seconds) {
  const OfMethod& figures = methods_[static_cast<size_t>(method)];
  auto counter = figures.requests.find(code);
  if (counter == figures.requests.end()) counter = figures.requests.find(absl::StatusCode::kInternal);
  counter->second->Increment();
  figures.seconds->Observe(seconds);
}

void TokenizerMetrics::Encoded(size_t bytes, size_t tokens) {
  bytes_.Increment(static_cast<double>(bytes));
  tokens_.Increment(static_cast<double>(tokens));
}

}  // namespace swiftlet
