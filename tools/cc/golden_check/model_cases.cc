#include "tools/cc/golden_check/model_cases.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/model/llama_decoder.h"
#include "engine/runtime/cpu_executor.h"
#include "engine/runtime/load_engine.h"
#include "tools/cc/golden_check/golden_model.h"
#include "tools/cc/golden_check/golden_report.h"
#include "tools/cc/golden_check/gpu_logits.h"

namespace swiftlet {
namespace {

constexpr int kBatch = 32;
constexpr int32_t kBlockTokens = 64;

// What a run on these kernels owes, as the README of the golden data says.
struct Numerics {
  const char* name;
  bool is_reference;
  double top2_gap;  // tokens need not agree from the first step on whose two best logits were nearer than this;
                    // of a GPU: measured
  bool is_gpu = false;
  const char* kernels = "auto";  // of a GPU
  bool deterministic = false;
};
constexpr Numerics kNumerics[] = {{"float32 reference", true, 0},
                                  {"simd", false, 0.1},
                                  {"gpu", false, 0, true},
                                  {"gpu, deterministic", false, 0, true, "auto", true},
                                  {"gpu, generic kernels", false, 0, true, "generic"}};
constexpr double kLogitTolerance = 2e-3;     // reference, each logit
constexpr double kLogprobTolerance = 4e-3;   // reference: a difference of two such errors
constexpr double kCloseCall = 8;             // gpu, tokens: top2_gap in units of the run's own rms logit error
constexpr double kRelativeTolerance = 1e-2;  // the others, ||out - ref|| / ||ref||

struct Way {
  const char* name;
  int32_t batch_tokens;  // most tokens of one step: the whole prompt, or chunks of it
};
constexpr Way kWays[] = {{"whole", 1024}, {"chunked", 48}};

absl::StatusOr<std::unique_ptr<LlamaDecoder>> MakeDecoder(const GoldenModel& model, const Numerics& numerics,
                                                          int32_t batch_tokens) {
  DecoderOptions options;
  options.model_directory = model.directory;
  options.kv_cache_bytes = int64_t{256} << 20;
  options.max_batch_tokens = batch_tokens;
  options.force_reference = numerics.is_reference;
  return LoadDecoder(options);
}

// The logits after `prompt`, fed in chunks.
std::vector<float> LogitsAfter(Decoder& decoder, const std::vector<int32_t>& prompt, int32_t chunk) {
  std::vector<int32_t> blocks((prompt.size() + kBlockTokens - 1) / kBlockTokens);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::vector<float> logits(static_cast<size_t>(decoder.shape().vocab_size));
  for (size_t at = 0; at < prompt.size();) {
    const size_t count = std::min(static_cast<size_t>(chunk), prompt.size() - at);
    DecoderSequence sequence;
    sequence.num_rows = static_cast<int32_t>(count);
    sequence.first_position = static_cast<int32_t>(at);
    sequence.block_ids = blocks;
    decoder.Forward({std::span(prompt).subspan(at, count), {&sequence, 1}});
    at += count;
    if (at == prompt.size()) {
      const auto last_row = static_cast<int32_t>(count) - 1;
      decoder.ComputeLogits({&last_row, 1}, logits);
    }
  }
  return logits;
}

// Empty when `logits` are near enough to the golden ones.
std::string CompareLogits(const Numerics& numerics, const std::vector<float>& logits,
                          const std::vector<float>& golden) {
  if (logits.size() != golden.size()) {
    return absl::StrCat("expected ", golden.size(), " logits, got ", logits.size());
  }
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < golden.size(); ++i) {
    const double error = std::abs(double{logits[i]} - golden[i]);
    if (numerics.is_reference && !(error <= kLogitTolerance)) {
      return absl::StrCat("logit ", i, ": expected ", golden[i], ", got ", logits[i]);
    }
    difference += error * error;
    norm += double{golden[i]} * golden[i];
  }
  const double relative = std::sqrt(difference / norm);
  if (!(relative <= kRelativeTolerance)) return absl::StrCat("logits: ||out - ref|| / ||ref|| is ", relative);
  return "";
}

// Of all logits of all cases.
double RmsError(const std::vector<std::vector<float>>& logits, const std::vector<GoldenCase>& cases) {
  double sum = 0;
  size_t count = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    for (size_t k = 0; k < std::min(logits[i].size(), cases[i].last_logits.size()); ++k) {
      sum += std::pow(double{logits[i][k]} - cases[i].last_logits[k], 2);
      ++count;
    }
  }
  return std::sqrt(sum / static_cast<double>(std::max<size_t>(count, 1)));
}

struct Answer {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  int32_t cached_tokens = 0;
  absl::Status status;
};

// Joins the outputs of requests whose tags are 0 .. count - 1. OnStep comes on the engine's thread.
class Answers : public OutputSink {
 public:
  explicit Answers(size_t count) : answers_(count), unfinished_(count) {}

  void OnStep(std::vector<SequenceOutput> outputs) override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const SequenceOutput& output : outputs) {
      Answer& answer = answers_[output.request];
      answer.ids.insert(answer.ids.end(), output.ids.begin(), output.ids.end());
      for (const PositionLogprobs& position : output.logprobs) answer.logprobs.push_back(position.chosen.logprob);
      answer.cached_tokens = std::max(answer.cached_tokens, output.cached_tokens);
      if (output.finish_reason == FinishReason::kNone) continue;
      answer.status = output.status;
      --unfinished_;
    }
    finished_.notify_all();
  }

  std::vector<Answer> Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [&] { return unfinished_ == 0; });
    return answers_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<Answer> answers_;  // guarded by mutex_
  size_t unfinished_;            // guarded by mutex_
};

struct Question {
  const GoldenCase* golden;
  std::string salt;  // equal salts share the prefix cache
};

absl::StatusOr<std::vector<Answer>> Ask(Engine& engine, const std::vector<Question>& questions) {
  const auto answers = std::make_shared<Answers>(questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    GenerationRequest request;
    request.prompt_ids = questions[i].golden->prompt;
    request.sampling.temperature = 0;
    request.max_tokens = static_cast<int32_t>(questions[i].golden->greedy.size());
    request.logprobs = 1;
    request.cache_salt = questions[i].salt;
    const absl::Status submitted = engine.Submit(i, std::move(request), answers);
    if (!submitted.ok()) {
      engine.CancelAll(answers.get());
      return submitted;
    }
  }
  return answers->Wait();
}

// Empty when the answer is the golden one as far as these numerics owe it: up to the first step whose two best logits
// were nearer than `top2_gap`.
std::string CompareAnswer(const Numerics& numerics, double top2_gap, const Answer& answer, const GoldenCase& golden) {
  if (!answer.status.ok()) return answer.status.ToString();
  if (answer.ids.size() != golden.greedy.size() || answer.logprobs.size() != golden.greedy.size()) {
    return absl::StrCat("expected ", golden.greedy.size(), " tokens, got ", answer.ids.size(), " and ",
                        answer.logprobs.size(), " log-probabilities");
  }
  for (size_t i = 0; i < golden.greedy.size(); ++i) {
    if (golden.top2_gap[i] < top2_gap) break;
    if (answer.ids[i] != golden.greedy[i]) {
      return absl::StrCat("token ", i, ": expected ", golden.greedy[i], ", got ", answer.ids[i], ", gap ",
                          golden.top2_gap[i]);
    }
    if (numerics.is_reference && !(std::abs(answer.logprobs[i] - golden.logprob[i]) <= kLogprobTolerance)) {
      return absl::StrCat("log-probability of token ", i, ": expected ", golden.logprob[i], ", got ",
                          answer.logprobs[i]);
    }
  }
  return "";
}

class ModelChecker {
 public:
  ModelChecker(const GoldenModel& model, const Numerics& numerics, const std::string& name)
      : model_(model), numerics_(numerics), report_(absl::StrCat(name, ", ", numerics.name)) {}

  absl::Status Check() {
    for (const Way& way : kWays) {
      RETURN_IF_ERROR(CheckLogits(way));
      RETURN_IF_ERROR(CheckAnswers(way));
    }
    return absl::OkStatus();
  }

  const GoldenReport& report() const { return report_; }

 private:
  void Count(const std::string& where, size_t golden_case, const std::string& difference) {
    if (difference.empty()) {
      report_.Pass();
    } else {
      report_.Fail(absl::StrCat("case ", golden_case, " (prompt of ", model_.cases[golden_case].prompt.size(), "), ",
                                where, ": ", difference));
    }
  }

  absl::Status CheckLogits(const Way& way) {
    ASSIGN_OR_RETURN(const std::vector<std::vector<float>> logits, numerics_.is_gpu ? GpuLogits(way) : CpuLogits(way));
    for (size_t i = 0; i < model_.cases.size(); ++i) {
      Count(way.name, i, CompareLogits(numerics_, logits[i], model_.cases[i].last_logits));
    }
    if (numerics_.is_gpu) top2_gap_ = kCloseCall * RmsError(logits, model_.cases);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::vector<float>>> CpuLogits(const Way& way) {
    ASSIGN_OR_RETURN(const std::unique_ptr<LlamaDecoder> decoder, MakeDecoder(model_, numerics_, way.batch_tokens));
    std::vector<std::vector<float>> logits;
    for (const GoldenCase& one : model_.cases) logits.push_back(LogitsAfter(*decoder, one.prompt, way.batch_tokens));
    return logits;
  }

  LoadEngineOptions GpuOptions(const Way& way) const {
    LoadEngineOptions options;
    options.model_directory = model_.directory;
    options.device = "cuda";
    options.kernels = numerics_.kernels;
    options.deterministic = numerics_.deterministic;
    options.num_threads = 4;
    options.kv_cache_bytes = int64_t{256} << 20;
    options.config.max_num_seqs = kBatch;
    options.config.max_num_batched_tokens = way.batch_tokens;
    return options;
  }

  absl::StatusOr<std::vector<std::vector<float>>> GpuLogits(const Way& way) {
    std::vector<std::vector<int32_t>> prompts;
    for (const GoldenCase& one : model_.cases) prompts.push_back(one.prompt);
    return LogitsOnGpu(GpuOptions(way), prompts);
  }

  absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(const Way& way) {
    if (numerics_.is_gpu) {
      ASSIGN_OR_RETURN(LoadedEngine loaded, LoadEngine(GpuOptions(way)));
      return std::move(loaded.engine);
    }
    ASSIGN_OR_RETURN(std::unique_ptr<LlamaDecoder> decoder, MakeDecoder(model_, numerics_, way.batch_tokens));
    EngineConfig config;
    config.max_num_seqs = kBatch;
    config.max_num_batched_tokens = way.batch_tokens;
    return CreateCpuEngine(config, std::move(decoder));
  }

  absl::Status CheckAnswers(const Way& way) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, MakeEngine(way));
    for (const char* state : {"cold", "from the prefix cache"}) {
      for (size_t i = 0; i < model_.cases.size(); ++i) {
        ASSIGN_OR_RETURN(const std::vector<Answer> answers,
                         Ask(*engine, {{&model_.cases[i], absl::StrCat("alone ", i)}}));
        std::string difference = CompareAnswer(numerics_, top2_gap_, answers[0], model_.cases[i]);
        const bool is_cold = state == std::string("cold");
        const bool can_be_cached = model_.cases[i].prompt.size() >= kBlockTokens;
        if (difference.empty() && (answers[0].cached_tokens > 0) != (!is_cold && can_be_cached)) {
          difference = absl::StrCat(answers[0].cached_tokens, " tokens from the prefix cache");
        }
        Count(absl::StrCat(way.name, ", alone, ", state), i, difference);
      }
    }
    std::vector<Question> questions;
    for (size_t i = 0; i < kBatch; ++i) {
      questions.push_back({&model_.cases[i % model_.cases.size()], absl::StrCat("batch ", i)});
    }
    ASSIGN_OR_RETURN(const std::vector<Answer> answers, Ask(*engine, questions));
    for (size_t i = 0; i < kBatch; ++i) {
      Count(absl::StrCat(way.name, ", in a batch of ", kBatch), i % model_.cases.size(),
            CompareAnswer(numerics_, top2_gap_, answers[i], *questions[i].golden));
    }
    return absl::OkStatus();
  }

  const GoldenModel& model_;
  const Numerics& numerics_;
  double top2_gap_ = numerics_.top2_gap;
  GoldenReport report_;
};

}  // namespace

absl::StatusOr<bool> CheckModelCases(const std::string& folder, const std::string& name, bool on_gpu) {
  ASSIGN_OR_RETURN(const GoldenModel model, ReadGoldenModel(folder + "/" + name));
  if (!model.quantization.empty()) {
    std::printf("%s: not served yet (quantization_config: %s)\n", name.c_str(), model.quantization.c_str());
    return true;
  }
  if (model.cases.empty()) return absl::InvalidArgumentError(absl::StrCat(name, ": golden.json has no case"));
  bool all_passed = true;
  for (const Numerics& numerics : kNumerics) {
    if (numerics.is_gpu != on_gpu) continue;
    ModelChecker checker(model, numerics, name);
    RETURN_IF_ERROR(checker.Check());
    checker.report().Print();
    all_passed = all_passed && checker.report().all_passed();
  }
  return all_passed;
}

}  // namespace swiftlet
