// The tokenizers this gateway calls: which are healthy, what they serve, and which one gets the next prompt (the one
// with the least pending). Also keeps the vocabularies they hand out, one for each tokenizer hash. Public methods: any
// thread. A prompt goes out on the caller's thread and its ids come back on the connector's, without a turn on another;
// which tokenizers there are and how they are is the control executor's to say. Owned by main; outlives the executor's
// last run and the connector's last callback.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "services/gateway/clock.h"
#include "services/gateway/model_directory.h"
#include "services/gateway/tokenizers/tokenizer_client.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

// One prompt to encode. Bounded in number by admission: every request has at most one.
struct EncodeOrder {
  v1::EncodeRequest request;  // without id and timeout
  // Of the tokenizers that will do.
  std::string model;
  std::string tokenizer_hash;
  std::string template_hash;
  int64_t timeout_us = 0;  // > 0
  Executor home;
  std::function<void(absl::StatusOr<EncodedPrompt>)> done;  // on `home`, exactly once unless cancelled
};

class TokenizerPool {
 public:
  struct Options {
    int64_t probe_us = 1'000'000;          // GetInfo of a healthy tokenizer
    int64_t shortest_backoff_us = 20'000;  // of one that is not; doubles up to the longest
    int64_t longest_backoff_us = 1'000'000;
    int64_t probe_timeout_us = 2'000'000;
    int64_t vocabulary_timeout_us = 30'000'000;
  };

  // What stands under the pool outlives it.
  TokenizerPool(const Options& options, Executor control, Clock& clock, TokenizerConnector& connector,
                ModelDirectory& directory);

  // The tokenizers there are, as host:port.
  void SetAddresses(std::vector<std::string> addresses);
  // UNAVAILABLE when no healthy tokenizer will do, DEADLINE_EXCEEDED when none answers in time. Encoding is idempotent:
  // a call that ends UNAVAILABLE is tried once more at another tokenizer. Returns a ticket for Cancel.
  uint64_t Encode(EncodeOrder order);
  // `done` is not called once this took effect.
  void Cancel(uint64_t ticket);
  // Forgets the tokenizers; what is pending ends UNAVAILABLE.
  void Stop();

  struct Counts {
    int64_t known = 0;
    int64_t healthy = 0;
    int64_t pending = 0;  // prompts being encoded
  };
  Counts counts() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  // Let go of on any thread but the connector's.
  struct Tokenizer {
    std::string address;
    std::unique_ptr<TokenizerClient> client;
    bool healthy = false;  // as `info` written by the control executor, under the lock
    v1::GetInfoResponse info;
    const std::shared_ptr<int64_t> load = std::make_shared<int64_t>(0);  // prompts it has; under the lock
  };
  struct Probing {
    int64_t backoff_us = 0;
    std::unique_ptr<Timer> timer;  // the next probe
  };
  struct Pending {
    std::shared_ptr<EncodeOrder> order;  // its request, megabytes perhaps, is copied without the lock
    std::weak_ptr<Tokenizer> tokenizer;
    std::shared_ptr<int64_t> load;  // that counts it; null = between two tokenizers
    std::string address;
    int64_t deadline_us = 0;
    bool retried = false;
  };
  using PendingOrders = std::unordered_map<uint64_t, Pending>;

  // On the control executor.
  void Probe(const std::shared_ptr<Tokenizer>& tokenizer);
  void OnInfo(const std::shared_ptr<Tokenizer>& tokenizer, absl::StatusOr<v1::GetInfoResponse> info);
  void FetchVocabulary(const std::shared_ptr<Tokenizer>& tokenizer, const v1::TokenizedModel& model);
  void Publish();
  bool IsListed(const std::shared_ptr<Tokenizer>& tokenizer) const;
  void OnLost(uint64_t ticket, const std::weak_ptr<Tokenizer>& weak, const absl::Status& status);
  void ExpireDue();
  // With the lock held.
  std::shared_ptr<Tokenizer> Choose(const EncodeOrder& order, const std::string& except) const;
  // These give it up. On any thread that may call a client.
  void Dispatch(Lock lock, uint64_t ticket, const std::string& except);
  void Finish(Lock lock, PendingOrders::iterator found, absl::StatusOr<EncodedPrompt> prompt);
  // On any thread.
  void OnEncoded(uint64_t ticket, absl::StatusOr<EncodedPrompt> prompt);

  const Options options_;
  const Executor control_;
  Clock& clock_;
  TokenizerConnector& connector_;
  ModelDirectory& directory_;
  std::map<std::string, std::shared_ptr<const Vocabulary>> vocabularies_;  // by tokenizer hash; null = being fetched
  std::map<std::string, Probing> probing_;                                 // by address
  std::unique_ptr<Timer> expiry_;                                          // runs ExpireDue

  mutable std::mutex mutex_;                                      // guards all below
  std::map<std::string, std::shared_ptr<Tokenizer>> tokenizers_;  // by address; written by the control executor
  PendingOrders pending_;                                         // by ticket
  uint64_t next_ticket_ = 1;
  int64_t expiry_us_ = INT64_MAX;  // when expiry_ fires, or is about to be set for
};

}  // namespace swiftlet
