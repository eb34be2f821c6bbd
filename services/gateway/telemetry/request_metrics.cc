#include "services/gateway/telemetry/request_metrics.h"

#include <algorithm>
#include <utility>

#include "services/gateway/generation/finish_reason.h"

namespace swiftlet {
namespace {

constexpr const char* kOther = "(other)";

void ObserveUs(prometheus::Histogram& histogram, int64_t us) {
  histogram.Observe(static_cast<double>(us) * 1e-6);
}

}  // namespace

class RequestMetrics::Model : public ModelObserver {
 public:
  Model(RequestMetrics& owner, const Metrics::Labels& labels)
      : owner_(owner),
        prompt_tokens_(owner.prompt_tokens_.Add(labels)),
        cached_tokens_(owner.cached_tokens_.Add(labels)),
        completion_tokens_(owner.completion_tokens_.Add(labels)),
        reasoning_tokens_(owner.reasoning_tokens_.Add(labels)),
        resumptions_(owner.resumptions_.Add(labels)),
        running_(owner.running_.Add(labels)),
        waiting_(owner.waiting_.Add(labels)),
        encode_(owner.encode_.Add(labels, LatencyBuckets())),
        queue_(owner.queue_.Add(labels, RequestBuckets())),
        prefill_(owner.prefill_.Add(labels, RequestBuckets())),
        first_token_(owner.first_token_.Add(labels, RequestBuckets())),
        inter_token_(owner.inter_token_.Add(labels, LatencyBuckets()), LatencyBuckets()),
        decode_(owner.decode_.Add(labels, RequestBuckets())),
        duration_(owner.duration_.Add(labels, RequestBuckets())),
        prompt_length_(owner.prompt_length_.Add(labels, LengthBuckets())),
        completion_length_(owner.completion_length_.Add(labels, LengthBuckets())) {
    for (const v1::FinishReason reason :
         {v1::FINISH_REASON_STOP, v1::FINISH_REASON_TOOL_CALLS, v1::FINISH_REASON_LENGTH, v1::FINISH_REASON_CANCELLED,
          v1::FINISH_REASON_DEADLINE, v1::FINISH_REASON_ERROR}) {
      Metrics::Labels with_reason = labels;
      with_reason["finish_reason"] = FinishReasonName(reason);
      ended_[reason] = &owner.requests_.Add(with_reason);
    }
  }

  void OnBegin() override { ++active_; }

  void OnFirstToken(int64_t since_arrival_us) override {
    ++streaming_;
    ObserveUs(first_token_, since_arrival_us);
  }

  // Tokens after a choice's first ones are counted by the histogram of the gaps before them.
  void OnTokens(int64_t gap_us, int32_t tokens) override {
    if (tokens <= 0) return;
    if (gap_us < 0) {
      completion_tokens_.Increment(tokens);
    } else {
      inter_token_.Observe(gap_us / tokens, tokens);
    }
  }

  void OnEnd(const RequestRecord& record) override;
  void Collect();

 private:
  RequestMetrics& owner_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& cached_tokens_;
  prometheus::Counter& completion_tokens_;
  prometheus::Counter& reasoning_tokens_;
  prometheus::Counter& resumptions_;
  prometheus::Gauge& running_;
  prometheus::Gauge& waiting_;
  prometheus::Histogram& encode_;
  prometheus::Histogram& queue_;
  prometheus::Histogram& prefill_;
  prometheus::Histogram& first_token_;
  BusyHistogram inter_token_;
  prometheus::Histogram& decode_;
  prometheus::Histogram& duration_;
  prometheus::Histogram& prompt_length_;
  prometheus::Histogram& completion_length_;
  std::map<v1::FinishReason, prometheus::Counter*> ended_;  // by the first choice's reason
  std::atomic<int64_t> active_ = 0;                         // between begin and end
  std::atomic<int64_t> streaming_ = 0;                      // between first token and end
};

void RequestMetrics::Model::OnEnd(const RequestRecord& record) {
  --active_;
  if (record.first_token_us >= 0) --streaming_;
  const v1::FinishReason reason =
      record.finish_reasons.empty() ? v1::FINISH_REASON_ERROR : record.finish_reasons.front();
  const auto counter = ended_.find(reason);
  (counter != ended_.end() ? counter : ended_.find(v1::FINISH_REASON_ERROR))->second->Increment();
  prompt_tokens_.Increment(record.usage.prompt_tokens());
  cached_tokens_.Increment(record.usage.cached_tokens());
  reasoning_tokens_.Increment(record.usage.reasoning_tokens());
  resumptions_.Increment(record.resumptions);
  if (!record.key_name.empty()) {
    KeyCounters& key = owner_.CountersOf(record.key_name);
    key.requests.Increment();
    if (record.refusal.starts_with("key_")) key.refused.Increment();
    key.tokens.Increment(record.usage.prompt_tokens() + record.usage.completion_tokens());
  }
  if (!record.refusal.empty()) owner_.CountRefusal(record.refusal);
  ObserveUs(duration_, record.total_us);
  if (record.encode_us < 0) return;
  ObserveUs(encode_, record.encode_us);
  prompt_length_.Observe(record.usage.prompt_tokens());
  if (record.first_token_us < 0) return;
  // A worker does not say zero.
  const int64_t queue_us = std::max<int64_t>(record.queue_us, 0);
  ObserveUs(queue_, queue_us);
  ObserveUs(prefill_, std::max<int64_t>(record.first_token_us - record.encode_us - queue_us, 0));
  ObserveUs(decode_, record.total_us - record.first_token_us);
  completion_length_.Observe(record.usage.completion_tokens());
}

void RequestMetrics::Model::Collect() {
  const int64_t streaming = streaming_;
  running_.Set(static_cast<double>(streaming));
  waiting_.Set(static_cast<double>(std::max<int64_t>(active_ - streaming, 0)));
  completion_tokens_.Increment(static_cast<double>(inter_token_.Gather()));
}

RequestMetrics::RequestMetrics(Metrics& metrics)
    : requests_(metrics.AddCounters("swiftlet_gateway_requests_total",
                                    "Ended requests, by model and by how their first choice ended.",
                                    {"model", "finish_reason"})),
      prompt_tokens_(
          metrics.AddCounters("swiftlet_gateway_prompt_tokens_total", "Prompt tokens of ended requests.", {"model"})),
      cached_tokens_(metrics.AddCounters("swiftlet_gateway_cached_prompt_tokens_total",
                                         "Part of the prompt tokens that a worker had in its prefix index.",
                                         {"model"})),
      completion_tokens_(metrics.AddCounters("swiftlet_gateway_completion_tokens_total",
                                             "Generated tokens, as they come.", {"model"})),
      reasoning_tokens_(metrics.AddCounters("swiftlet_gateway_reasoning_tokens_total",
                                            "Part of the generated tokens of ended requests that was reasoning.",
                                            {"model"})),
      resumptions_(metrics.AddCounters("swiftlet_gateway_resumptions_total",
                                       "Times another worker took over a running request.", {"model"})),
      running_(
          metrics.AddGauges("swiftlet_gateway_requests_running", "Requests that have their first token.", {"model"})),
      waiting_(metrics.AddGauges("swiftlet_gateway_requests_waiting", "Accepted requests without a token so far.",
                                 {"model"})),
      encode_(metrics.AddHistograms("swiftlet_gateway_encode_seconds", "Arrival to prompt ids.", {"model"})),
      queue_(metrics.AddHistograms("swiftlet_gateway_queue_seconds",
                                   "Submission to first planned step, as the worker measured it.", {"model"})),
      prefill_(metrics.AddHistograms("swiftlet_gateway_prefill_seconds",
                                     "First planned step to first token, with the way to the worker and back.",
                                     {"model"})),
      first_token_(
          metrics.AddHistograms("swiftlet_gateway_time_to_first_token_seconds", "Arrival to first token.", {"model"})),
      inter_token_(metrics.AddHistograms("swiftlet_gateway_inter_token_seconds", "Time between two tokens of a choice.",
                                         {"model"})),
      decode_(metrics.AddHistograms("swiftlet_gateway_decode_seconds", "First token to end.", {"model"})),
      duration_(metrics.AddHistograms("swiftlet_gateway_request_seconds", "Arrival to end.", {"model"})),
      prompt_length_(
          metrics.AddHistograms("swiftlet_gateway_request_prompt_tokens", "Prompt tokens of a request.", {"model"})),
      completion_length_(metrics.AddHistograms("swiftlet_gateway_request_completion_tokens",
                                               "Tokens that a request generated, of all its choices.", {"model"})),
      key_requests_(metrics.AddCounters("swiftlet_gateway_key_requests_total",
                                        "Ended requests, by the name of their API key.", {"key"})),
      key_refused_(metrics.AddCounters("swiftlet_gateway_key_refused_total",
                                       "Part of these that was over the key's limits.", {"key"})),
      key_tokens_(
          metrics.AddCounters("swiftlet_gateway_key_tokens_total", "Prompt and generated tokens of these.", {"key"})) {
  Metrics::Counters& refusals = metrics.AddCounters(
      "swiftlet_gateway_rejections_total",
      "Requests turned away before their first token for lack of room, time or workers.", {"reason"});
  for (const char* reason : kRefusals) refusals_[reason] = &refusals.Add({{"reason", reason}});
  refusals_[kOther] = &refusals.Add({{"reason", "other"}});
}

RequestMetrics::~RequestMetrics() = default;

ModelObserver& RequestMetrics::Of(const std::string& model) {
  std::lock_guard<std::mutex> lock(models_mutex_);
  auto found = models_.find(model);
  if (found != models_.end()) return *found->second;
  const std::string name = models_.size() < kMaxModels ? model : kOther;
  std::unique_ptr<Model>& made = models_[name];
  if (made == nullptr) made = std::make_unique<Model>(*this, Metrics::Labels{{"model", name}});
  return *made;
}

void RequestMetrics::Collect(const std::vector<std::string>& models) {
  for (const std::string& model : models) Of(model);
  std::lock_guard<std::mutex> lock(models_mutex_);
  for (const auto& [name, model] : models_) model->Collect();
}

// Names come and go with the keys file.
RequestMetrics::KeyCounters& RequestMetrics::CountersOf(const std::string& key_name) {
  std::lock_guard<std::mutex> lock(keys_mutex_);
  auto found = keys_.find(key_name);
  if (found != keys_.end()) return found->second;
  const std::string name = keys_.size() < kMaxKeys ? key_name : kOther;
  if (found = keys_.find(name); found != keys_.end()) return found->second;
  const Metrics::Labels labels = {{"key", name}};
  return keys_.emplace(name, KeyCounters{key_requests_.Add(labels), key_refused_.Add(labels), key_tokens_.Add(labels)})
      .first->second;
}

void RequestMetrics::CountRefusal(const std::string& reason) {
  const auto counter = refusals_.find(reason);
  (counter != refusals_.end() ? counter : refusals_.find(kOther))->second->Increment();
}

}  // namespace swiftlet
