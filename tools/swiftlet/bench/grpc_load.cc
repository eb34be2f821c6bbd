#include "tools/swiftlet/bench/grpc_load.h"

#include <absl/strings/str_cat.h>
#include <grpc/support/log.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "services/common/grpc_channel.h"
#include "services/common/tls_material.h"
#include "swiftlet/v1/inference.grpc.pb.h"
#include "tools/swiftlet/bench/prompts.h"
#include "tools/swiftlet/bench/steady_time.h"

namespace swiftlet::bench {
namespace {

constexpr size_t kMaxPemBytes = 1 << 20;
constexpr std::chrono::seconds kListLimit{10};

absl::Status ReadPem(const std::string& flag, const std::string& path, std::string* pem) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> text = ReadFile(path, kMaxPemBytes);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrCat(flag, ": ", text.status().message()));
  *pem = *std::move(text);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const Options& options) {
  gpr_set_log_function([](gpr_log_func_args*) {});  // what fails is said once, by the call's status
  if (!options.target.tls) return MakeChannel(options.target.authority());
  const TlsPaths& paths = options.tls;
  TlsMaterial tls;
  RETURN_IF_ERROR(ReadPem(paths.authorities_flag, paths.authorities, &tls.authorities_pem));
  RETURN_IF_ERROR(ReadPem(paths.certificate_flag, paths.certificate, &tls.certificate_pem));
  RETURN_IF_ERROR(ReadPem(paths.key_flag, paths.key, &tls.key_pem));
  return MakeChannel(options.target.authority(), tls, options.server_name);
}

void Authorize(const Options& options, grpc::ClientContext& context) {
  if (!options.api_key.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", options.api_key));
}

v1::GenerateRequest MakeRequest(const Options& options, const Prompt& prompt) {
  v1::GenerateRequest request;
  request.set_model(options.model);
  if (prompt.ids.empty()) {
    request.set_text(prompt.text);
  } else {
    request.mutable_token_ids()->mutable_ids()->Assign(prompt.ids.begin(), prompt.ids.end());
  }
  request.mutable_stop()->set_max_tokens(prompt.max_tokens);
  request.mutable_stop()->set_ignore_eos(!options.stop_at_eos);
  request.mutable_sampling()->set_seed(prompt.seed);
  if (options.temperature >= 0) request.mutable_sampling()->set_temperature(static_cast<float>(options.temperature));
  if (options.top_p >= 0) request.mutable_sampling()->set_top_p(static_cast<float>(options.top_p));
  return request;
}

// As the codes are named in gRPC.
std::string CodeName(grpc::StatusCode code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(static_cast<int>(code)));
}

// One call. Its operations come back from the queue one after the other, each with the call as its tag.
struct Call {
  enum class Step { kStart, kRead, kFinish };
  Step step = Step::kStart;
  grpc::ClientContext context;
  v1::GenerateResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncReader<v1::GenerateResponse>> reader;
  AnswerTimes times;
};

class GrpcLoad {
 public:
  GrpcLoad(const ThreadLoad& load, const std::shared_ptr<grpc::Channel>& channel)
      : load_(load), stub_(v1::InferenceService::NewStub(channel)) {}

  void Run() {
    std::thread beginner;
    if (load_.pacer.open_loop()) {
      beginner = std::thread([this] { BeginAll(); });
    } else {
      for (int32_t i = 0; i < load_.streams; ++i) BeginNext();
      all_begun_ = true;
    }
    TakeAll();
    if (beginner.joinable()) beginner.join();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) continue;
  }

 private:
  // Open loop, a thread of its own: each call when it is due, as soon as so few are open.
  void BeginAll() {
    while (!load_.pacer.done()) {
      const std::optional<int64_t> due_ns = load_.pacer.NextDueNs();
      const int64_t now_ns = NowNs();
      if (due_ns > now_ns) {
        std::this_thread::sleep_until(TimeOf(std::min(*due_ns, now_ns + kTickNs)));
        continue;
      }
      if (num_open_ >= load_.streams) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      BeginNext();  // none where the run was stopped meanwhile
    }
    all_begun_ = true;
  }

  void BeginNext() {
    if (const std::optional<Due> due = load_.pacer.Take(NowNs()); due.has_value()) Begin(*due);
  }

  void Begin(const Due& due) {
    auto call = std::make_unique<Call>();
    const v1::GenerateRequest request = MakeRequest(load_.options, MakePrompt(load_.options, load_.dataset, due.index));
    Authorize(load_.options, call->context);
    call->context.set_deadline(std::chrono::system_clock::now() +
                               std::chrono::nanoseconds(static_cast<int64_t>(load_.options.timeout_s * 1e9)));
    const int64_t now_ns = NowNs();
    call->times.from_ns = due.at_ns > 0 ? due.at_ns : now_ns;
    Progress::Add(load_.progress.begun, 1);
    ++num_open_;
    Call* const tag = call.release();  // TakeAll owns it from its first operation on
    // The thread that begins calls is alone with this; all other figures are TakeAll's.
    if (due.at_ns > 0) load_.measured.send_lateness.Add(now_ns - due.at_ns);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      open_.insert(tag);
    }
    tag->reader = stub_->PrepareAsyncGenerate(&tag->context, request, &queue_);
    tag->reader->StartCall(tag);
  }

  void TakeAll() {
    bool cancelled = false;
    // all_begun_ first: a call that is begun before it is set is then counted.
    while (!all_begun_ || num_open_ > 0 || !resume_at_ns_.empty()) {
      void* tag = nullptr;
      bool ok = false;
      const auto tick = std::chrono::system_clock::now() + std::chrono::nanoseconds(kTickNs);
      if (queue_.AsyncNext(&tag, &ok, tick) == grpc::CompletionQueue::GOT_EVENT) Take(*static_cast<Call*>(tag), ok);
      if (load_.pacer.stopped() && !cancelled && all_begun_) {
        std::lock_guard<std::mutex> lock(mutex_);
        for (Call* const call : open_) call->context.TryCancel();
        cancelled = true;
      }
      while (!resume_at_ns_.empty() && (resume_at_ns_.front() <= NowNs() || load_.pacer.done())) {
        resume_at_ns_.pop_front();
        BeginNext();
      }
    }
  }

  void Take(Call& call, bool ok) {
    switch (call.step) {
      case Call::Step::kRead:
        if (ok) TakeResponse(call);
        [[fallthrough]];
      case Call::Step::kStart:
        call.step = ok ? Call::Step::kRead : Call::Step::kFinish;
        ok ? call.reader->Read(&call.response, &call) : call.reader->Finish(&call.status, &call);
        return;
      case Call::Step::kFinish:
        End(call);
    }
  }

  void TakeResponse(Call& call) {
    const int64_t now_ns = NowNs();
    AnswerTimes& times = call.times;
    bool has_text = false;
    for (const v1::Delta& delta : call.response.deltas()) {
      has_text = has_text || !delta.text().empty() || !delta.reasoning().empty() || delta.tool_calls_size() > 0;
    }
    if (call.response.has_usage()) {
      times.prompt_tokens = call.response.usage().prompt_tokens();
      times.completion_tokens = call.response.usage().completion_tokens();
      times.cached_tokens = call.response.usage().cached_tokens();
    }
    if (!has_text) return;
    Progress::Add(load_.progress.tokens, 1);
    times.TakeText(now_ns);
  }

  void End(Call& call) {
    const grpc::StatusCode code = call.status.error_code();
    call.times.end_ns = NowNs();
    if (call.status.ok()) {
      load_.measured.TakeAnswer(call.times, load_.options.goodput);
    } else if (load_.pacer.stopped() && code == grpc::StatusCode::CANCELLED) {
      ++load_.measured.cut_off;
    } else if (code == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      load_.measured.Refuse(call.status.error_message());
    } else {
      load_.measured.Fail(CodeName(code), call.status.error_message());
    }
    Progress::Add(load_.progress.ended, 1);
    const bool answered = call.status.ok();
    if (!answered) Progress::Add(load_.progress.not_completed, 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      open_.erase(&call);
    }
    delete &call;
    --num_open_;
    if (load_.pacer.open_loop()) return;
    if (answered) {
      BeginNext();
    } else {
      resume_at_ns_.push_back(NowNs() + kPauseAfterFailureNs);
    }
  }

  const ThreadLoad& load_;
  const std::unique_ptr<v1::InferenceService::Stub> stub_;
  grpc::CompletionQueue queue_;
  std::atomic<int32_t> num_open_{0};
  std::atomic<bool> all_begun_{false};
  std::deque<int64_t> resume_at_ns_;  // closed loop: streams that pause
  std::mutex mutex_;
  std::set<Call*> open_;  // guarded by mutex_
};

}  // namespace

absl::Status RunGrpcLoad(const ThreadLoad& load) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(load.options));
  GrpcLoad(load, channel).Run();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListGrpcModels(const Options& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(options));
  grpc::ClientContext context;
  Authorize(options, context);
  context.set_deadline(std::chrono::system_clock::now() + kListLimit);
  v1::ListModelsResponse response;
  const grpc::Status status = v1::InferenceService::NewStub(channel)->ListModels(&context, {}, &response);
  if (!status.ok()) {
    return absl::UnavailableError(absl::StrCat("ListModels at ", options.target.authority(), ": ",
                                               CodeName(status.error_code()), ": ", status.error_message()));
  }
  std::vector<std::string> names;
  for (const v1::ServedModel& model : response.models()) names.push_back(model.name());
  if (names.empty()) return absl::UnavailableError(absl::StrCat(options.target.authority(), " serves no model"));
  return names;
}

}  // namespace swiftlet::bench
