// Workers that run the toy model on a virtual clock behind a faulty wire. A step gives each running choice up to three
// tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "services/gateway/workers/worker_transport.h"
#include "tests/services/gateway/virtual_clock.h"

namespace swiftlet {

// Chances for each message a worker sends.
struct Faults {
  double kill = 0;  // the process dies and comes back within 2 s under another id
  double hang = 0;  // silent for 5 s; what it had to say then comes at once
  double drop = 0;  // the message is lost, and the connection with it some time later
  double duplicate = 0;
  double reorder = 0;  // it arrives after the next one
  double fail = 0;     // every sequence ends UNAVAILABLE, the process goes on refusing
  int64_t max_delay_us = 0;
};

class ToyWorkers : public WorkerTransport {
 public:
  static constexpr int64_t kStepUs = 10'000;

  ToyWorkers(VirtualClock& clock, uint64_t seed) : clock_(clock), random_(seed) {}
  ~ToyWorkers() override;

  Faults faults;
  // Asked when a worker sends Hello: a test may change what it says.
  std::map<std::string, v1::WorkerHello> hello_of;  // by address
  std::map<std::string, v1::WorkerLoad> load_of;    // by address; what it reports beside its own sequences
  // What choices say instead of the toy model's ids: bytes, then the end.
  std::function<std::string(const v1::Submit& submit, int32_t choice)> script;
  std::string grammar_error;  // not empty: no grammar can be compiled, and why

  void Kill(const std::string& address, int64_t down_us);
  // From now on every sequence there ends UNAVAILABLE.
  void Refuse(const std::string& address) { processes_[address].refusing = true; }

  std::shared_ptr<WorkerStream> Open(const std::string& address, std::shared_ptr<WorkerStreamEvents> events) override;

  int64_t submits(const std::string& address) const;
  int64_t running() const;  // sequences of all workers
  const std::vector<v1::Submit>& seen() const { return seen_; }
  int64_t cancels = 0;

 private:
  class Stream;
  struct Sequence {
    v1::Submit submit;
    int32_t choice = 0;
    std::vector<int32_t> ids;
    int32_t prompt_told = 1;  // prompt positions whose log-probabilities went out; the first has none
    bool told = false;        // an output went out
  };
  struct Process {
    int64_t life = 0;  // counts restarts
    bool up = true;
    bool refusing = false;
    int64_t silent_until_us = 0;
    int64_t submits = 0;
  };
  bool Chance(double probability);
  void Receive(const std::shared_ptr<Stream>& stream, v1::AttachRequest message);
  void Step(const std::shared_ptr<Stream>& stream);
  void Say(const std::shared_ptr<Stream>& stream, v1::AttachResponse message);
  void Deliver(const std::shared_ptr<Stream>& stream, v1::AttachResponse message, int64_t extra_us);

  VirtualClock& clock_;
  std::mt19937_64 random_;
  std::map<std::string, Process> processes_;
  std::vector<std::weak_ptr<Stream>> streams_;
  std::vector<v1::Submit> seen_;
};

}  // namespace swiftlet
