// Which tokens the grammars of running choices allow next, found by a thread of their own, which alone steps the
// matchers: a step never waits for a mask that takes long. Owned by the Engine.
#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/grammar/matcher.h"
#include "engine/grammar/token_grammar.h"
#include "engine/runtime/generation_request.h"

namespace swiftlet {

class GrammarMasks {
 public:
  using Mask = TokenGrammar::Mask;

  struct Result {
    uint64_t request = 0;
    int32_t choice = 0;
    Mask mask;            // of the choice's next token; null when it cannot go on
    absl::Status status;  // why
  };

  // `wake` tells the step thread that there are results; not again before it has taken them. Any thread.
  explicit GrammarMasks(std::function<void()> wake);
  ~GrammarMasks();
  GrammarMasks(const GrammarMasks&) = delete;
  GrammarMasks& operator=(const GrammarMasks&) = delete;

  // All below: the step thread.

  // A request with a grammar: each of its choices gets a result, in order, resumed ids taken into account. The grammar
  // is kept by the masks' thread alone: it is thousands of pieces of memory, which no step may have to give back.
  void Begin(uint64_t request, std::shared_ptr<const GenerationRequest> parameters,
             std::shared_ptr<TokenGrammar> grammar);
  // The choice has gained this id: one result.
  void Take(uint64_t request, int32_t choice, int32_t id);
  // Nothing more of this request; results may still come.
  void End(uint64_t request);
  std::vector<Result> TakeResults();
  // Until all that was asked for is there, at most so long.
  void WaitBriefly(std::chrono::microseconds at_most);

 private:
  struct Job {
    uint64_t request = 0;
    std::shared_ptr<const GenerationRequest> begun;  // null: Take, or End for choice -1
    std::shared_ptr<TokenGrammar> grammar = nullptr;
    int32_t choice = 0;
    int32_t id = 0;
  };
  // One choice, on the masks' thread.
  struct Choice {
    Matcher matcher;
    int32_t num_generated = 0;
  };
  struct Request {
    std::shared_ptr<const GenerationRequest> parameters;
    std::vector<Choice> choices;
  };

  void Post(Job job);
  void Loop();
  void Run(const Job& job, std::vector<Result>& results);
  Result Find(const Request& request, uint64_t number, int32_t index, Choice& choice) const;

  const std::function<void()> wake_;
  std::map<uint64_t, Request> requests_;  // the masks' thread

  std::mutex mutex_;  // guards all below
  std::condition_variable asked_, done_;
  std::deque<Job> jobs_;
  bool busy_ = false;
  std::vector<Result> results_;
  bool woken_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace swiftlet
