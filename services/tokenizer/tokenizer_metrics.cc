#include "services/tokenizer/tokenizer_metrics.h"

#include <string>

namespace swiftlet {

namespace {

constexpr const char* kMethodNames[kTokenizerMethods] = {"EncodePrompt", "EncodeChat", "GetVocabulary", "GetInfo"};
constexpr absl::StatusCode kCodes[] = {absl::StatusCode::kOk,        absl::StatusCode::kInvalidArgument,
                                       absl::StatusCode::kNotFound,  absl::StatusCode::kResourceExhausted,
                                       absl::StatusCode::kCancelled, absl::StatusCode::kInternal};

}  // namespace

TokenizerMetrics::TokenizerMetrics(Metrics& metrics)
    : bytes_(metrics.AddCounter("swiftlet_tokenizer_text_bytes_total", "Bytes of text encoded.")),
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
