// One Attach stream: what a gateway submits goes to the engine, what the engine answers goes to the gateway.
// The gRPC reactor and the engine's sink in one object; alive until gRPC and the engine have both let go.
//
// Threads: gRPC's callback threads (reads, ends of writes), the engine's step thread (OnStep: takes the mutex for a few
// moves, and writes when there is little to write), and ModelService's sender thread (Flush: builds messages and writes
// them; WriteLines).
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/runtime/generation_request.h"
#include "services/model_worker/outbox.h"
#include "services/model_worker/refusable.h"
#include "services/model_worker/vocabulary_intake.h"
#include "services/model_worker/work_line.h"
#include "services/model_worker/worker_state.h"
#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

class Attachment final : public grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>,
                         public OutputSink,
                         public std::enable_shared_from_this<Attachment> {
 public:
  using Clock = std::chrono::steady_clock;

  // `wake` asks for a Flush soon; called on any thread, must not block. `on_done` is gRPC's last word.
  Attachment(grpc::CallbackServerContext& context, WorkerState& state, std::function<void()> wake,
             std::function<void(Attachment*)> on_done);
  // The first call, by who made it.
  void Start();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnStep(std::vector<SequenceOutput> outputs) override;

  // Sender thread, step thread. Writes what waits, or a heartbeat when nothing was written for a while; cancels the
  // stream of a gateway that has gone silent, or does not read.
  void Flush(Clock::time_point now);
  // Sender thread: to the log, of the requests that have ended.
  void WriteLines();
  // Any thread. Ends the stream once all that waits is written.
  void Close();

 private:
  struct Request {
    uint32_t epoch = 0;
    int32_t open_choices = 0;
    int64_t waiting_tokens = 0;  // given back with the first output
    bool compiling = false;      // its grammar: the engine does not know of it yet
    bool cancelled = false;      // meanwhile
    WorkLine line;
  };

  // Callback thread; false ends the reading.
  bool HandleMessage();
  absl::Status HandleHello(const v1::GatewayHello& hello);
  void HandleSubmit(const v1::Submit& submit);
  absl::Status TrySubmit(const v1::Submit& submit, const Refusable& refusable);
  absl::Status SubmitToEngine(uint64_t id, GenerationRequest request);
  // The compiler's thread.
  void OnCompiled(const Refusable& refusable, GenerationRequest request, Clock::time_point submitted,
                  absl::StatusOr<std::shared_ptr<TokenGrammar>> grammar);
  void HandleCancel(uint64_t id);
  void AskForVocabulary();
  absl::Status TakeVocabulary(v1::VocabularySlice& slice);
  // Any thread. Ends all choices: the engine has never seen them.
  void Refuse(const Refusable& refusable, const absl::Status& status);

  // Ends the stream with `status` when no write is in flight, else after it. Cancels all sequences. Idempotent.
  void End(const grpc::Status& status);
  // The next message to write, into response_; false when there is none. Mutex held.
  bool NextMessage(Clock::time_point now);

  grpc::CallbackServerContext& context_;
  WorkerState& state_;
  const std::function<void()> wake_;
  const std::function<void(Attachment*)> on_done_;
  std::string gateway_id_;       // callback threads, before `attached_`
  v1::AttachRequest request_;    // the read in flight
  VocabularyIntake vocabulary_;  // callback threads

  std::mutex mutex_;                  // guards all below
  std::shared_ptr<Attachment> self_;  // until OnDone
  v1::AttachResponse response_;       // the write in flight
  Outbox outbox_;
  std::map<uint64_t, Request> requests_;
  std::vector<WorkLine> ended_;  // of requests, to be written to the log
  bool attached_ = false;        // Hello came; ours is written first
  bool hello_written_ = false;
  bool load_due_ = false;  // the gateway should learn of a change without waiting for a heartbeat
  bool vocabulary_asked_ = false;
  bool vocabulary_due_ = false;  // to be asked
  bool write_in_flight_ = false;
  bool closing_ = false;
  bool ending_ = false;
  bool finished_ = false;
  grpc::Status final_status_;
  Clock::time_point last_write_;
  Clock::time_point last_read_;
};

}  // namespace swiftlet
