#include "services/gateway/generation/generator.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <random>
#include <utility>

#include <boost/asio/post.hpp>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/gateway/admission/key_account.h"
#include "services/gateway/generation/prompt_text.h"
#include "services/gateway/generation/request_conductor.h"
#include "services/gateway/telemetry/request_log.h"
#include "services/gateway/tokenizers/encode_order.h"

namespace swiftlet {

namespace {

// What only counts tokens is a request of its key too.
absl::StatusOr<KeyAccount::Permit> BeginUse(const std::shared_ptr<KeyAccount>& account, int64_t now_us) {
  if (account == nullptr) return KeyAccount::Permit();
  return account->Begin(now_us);
}

// Ends the use where the tokens are not left.
absl::Status ReserveUse(const std::shared_ptr<KeyAccount>& account, KeyAccount::Permit& permit, int64_t tokens,
                        int64_t now_us) {
  if (account == nullptr) return absl::OkStatus();
  const absl::Status status = account->Reserve(permit, tokens, now_us);
  if (!status.ok()) permit.Settle(0, now_us);
  return status;
}

// With `counted` tokens, or when that is an error or they are not left, without any.
absl::Status EndUse(const std::shared_ptr<KeyAccount>& account, KeyAccount::Permit& permit,
                    const absl::StatusOr<int64_t>& counted, int64_t now_us) {
  if (!counted.ok()) {
    permit.Settle(0, now_us);
    return counted.status();
  }
  RETURN_IF_ERROR(ReserveUse(account, permit, *counted, now_us));
  permit.Settle(*counted, now_us);
  return absl::OkStatus();
}

}  // namespace

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

GatewayGenerator::GatewayGenerator(const GenerationParts& parts, const GenerationOptions& options)
    : parts_(parts), options_(options) {}

GatewayGenerator::~GatewayGenerator() {
  CHECK(alive_.empty()) << alive_.size() << " requests have not ended";
}

std::shared_ptr<GenerationHandle> GatewayGenerator::Start(ValidRequest request, std::unique_ptr<GenerationSink> sink,
                                                          Executor home) {
  auto generation = std::make_shared<RequestConductor>(*this, std::move(request), std::move(sink), home);
  bool refused;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    refused = refusing_;
    alive_.emplace(generation.get(), Alive{generation, home});
    generation->Keep();
  }
  // Abandon may come first: Begin then finds it ended.
  boost::asio::post(home, [generation, refused] { generation->Begin(refused); });
  return generation;
}

void GatewayGenerator::Tokenize(ValidRequest request, Executor home, TokenizeCallback done) {
  const auto answer = [home, done](absl::StatusOr<TokenizedPrompt> prompt) {
    boost::asio::post(home, [done, prompt = std::move(prompt)]() mutable { done(std::move(prompt)); });
  };
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (refusing_) {
      return answer(WithRetryAfter(absl::UnavailableError("the gateway is shutting down"), options_.retry_after_ms));
    }
  }
  auto model = FindReadyModel(parts_.directory, request.model, options_.retry_after_ms);
  if (!model.ok()) return answer(model.status());
  if (const auto format = CallFormatOf(request, **model, options_.tool_parser); !format.ok()) {
    return answer(format.status());
  }
  absl::StatusOr<KeyAccount::Permit> use = BeginUse(request.account, parts_.clock.NowUs());
  if (!use.ok()) return answer(use.status());
  TokenizedPrompt prompt{{}, (*model)->vocabulary, (*model)->max_model_len};
  if (auto* tokens = std::get_if<TokenInput>(&request.input)) {
    prompt.ids = std::move(tokens->ids);
    const absl::Status status = EndUse(request.account, *use, prompt.ids.size(), parts_.clock.NowUs());
    if (!status.ok()) return answer(status);
    return answer(std::move(prompt));
  }
  absl::StatusOr<Admission::Permit> permit = parts_.admission.Admit();
  if (!permit.ok()) return answer(EndUse(request.account, *use, permit.status(), parts_.clock.NowUs()));
  EncodeOrder order =
      MakeEncodeOrder(request, **model, std::min(options_.encode_timeout_us, request.timeout_us.value_or(INT64_MAX)),
                      request.entry != nullptr ? request.entry->span.span_id : "");
  order.home = home;
  // Held until the answer is there: texts being encoded are bounded as requests are.
  struct Held {
    Admission::Permit permit;
    KeyAccount::Permit use;
  };
  order.done = [done = std::move(done), prompt = std::move(prompt), account = request.account, &clock = parts_.clock,
                held = std::make_shared<Held>(Held{*std::move(permit), *std::move(use)})](
                   absl::StatusOr<EncodedPrompt> encoded) mutable {
    held->permit.Release();
    const absl::StatusOr<int64_t> counted =
        encoded.ok() ? absl::StatusOr<int64_t>(encoded->ids.size()) : encoded.status();
    const absl::Status status = EndUse(account, held->use, counted, clock.NowUs());
    if (!status.ok()) return done(status);
    prompt.ids = std::move(encoded->ids);
    done(std::move(prompt));
  };
  parts_.tokenizers.Encode(std::move(order));
}

absl::StatusOr<std::string> GatewayGenerator::Detokenize(const std::string& name, std::span<const int32_t> ids,
                                                         const std::shared_ptr<KeyAccount>& account) const {
  ASSIGN_OR_RETURN(const auto model, FindReadyModel(parts_.directory, name, options_.retry_after_ms));
  if (ids.size() > static_cast<size_t>(model->max_model_len)) {
    return InvalidField("tokens", absl::StrCat(ids.size(), " ids are too many: the model's context is ",
                                               model->max_model_len, " tokens"));
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= model->logits_width) {
      return InvalidField("tokens",
                          absl::StrCat("token id ", id, " is outside the model's 0 to ", model->logits_width - 1));
    }
  }
  ASSIGN_OR_RETURN(KeyAccount::Permit use, BeginUse(account, parts_.clock.NowUs()));
  const auto tokens = static_cast<int64_t>(ids.size());
  RETURN_IF_ERROR(ReserveUse(account, use, tokens, parts_.clock.NowUs()));  // before the work of decoding
  std::string text = DecodeAll(*model->vocabulary, model->join, ids);
  use.Settle(tokens, parts_.clock.NowUs());
  return text;
}

std::vector<Generator::ServedModel> GatewayGenerator::Models() const {
  return parts_.directory.List();
}

int64_t GatewayGenerator::active() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(alive_.size());
}

void GatewayGenerator::Refuse() {
  std::lock_guard<std::mutex> lock(mutex_);
  refusing_ = true;
}

void GatewayGenerator::EndAll(const absl::Status& status) {
  std::vector<Alive> alive;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [generation, entry] : alive_) alive.push_back(entry);
  }
  for (const Alive& entry : alive) {
    boost::asio::post(entry.home, [weak = entry.generation, status] {
      if (const auto generation = weak.lock()) generation->End(status);
    });
  }
}

uint64_t GatewayGenerator::NextRequestId() {
  std::lock_guard<std::mutex> lock(mutex_);
  return next_request_id_++;
}

void GatewayGenerator::Forget(const RequestConductor* generation) {
  std::lock_guard<std::mutex> lock(mutex_);
  alive_.erase(generation);
}

}  // namespace swiftlet
