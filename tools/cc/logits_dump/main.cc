// logits_dump --model DIR --prompts FILE: the logits of every position of given prompts, whatever the model would have
// drawn, to stdout. FILE has a prompt a line, ids between spaces.
//
// Output: one line of JSON that says what follows ({"prompts": N, "vocab_size": V, "bytes": 2 or 4, "numerics": ...}),
// then records of three int32 (prompt, first position, positions) and positions x V float16 or float32, little-endian,
// every position once.
// Positions below --decode-from are computed as a prompt is, the others one at a time, all prompts in one step.
#include <absl/status/status.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "tools/cc/logits_dump/forced_model.h"

namespace swiftlet {
namespace {

struct Flags {
  ForcedModelOptions model;
  std::string prompts_path;
  std::string device = "cpu";
  int32_t decode_from = std::numeric_limits<int32_t>::max();
};

absl::StatusOr<std::vector<std::vector<int32_t>>> ReadPrompts(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, size_t{64} << 20));
  std::vector<std::vector<int32_t>> prompts;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::vector<int32_t>& prompt = prompts.emplace_back();
    for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      int32_t id = 0;
      if (!absl::SimpleAtoi(word, &id)) {
        return absl::InvalidArgumentError(absl::StrCat(path, ": \"", word, "\" is no id"));
      }
      prompt.push_back(id);
    }
    if (prompt.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": a line without ids"));
  }
  if (prompts.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " has no prompt"));
  return prompts;
}

absl::Status WriteAll(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = write(STDOUT_FILENO, at, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return absl::ErrnoToStatus(errno, "cannot write to stdout");
    at += done;
    bytes -= static_cast<size_t>(done);
  }
  return absl::OkStatus();
}

class Dump {
 public:
  Dump(ForcedModel& model, const std::vector<std::vector<int32_t>>& prompts) : model_(model), prompts_(prompts) {}

  // Whole prompts up to `end`, as many in a step as `step_tokens` allow.
  absl::Status Prefill(int32_t end, int32_t step_tokens) {
    std::vector<ForcedShare> shares;
    int32_t tokens = 0;
    for (size_t i = 0; i < prompts_.size(); ++i) {
      const auto count = std::min(static_cast<int32_t>(prompts_[i].size()), end);
      if (tokens + count > step_tokens) {
        RETURN_IF_ERROR(Run(shares, /*decode=*/false));
        shares.clear();
        tokens = 0;
      }
      shares.push_back({static_cast<int32_t>(i), 0, std::span(prompts_[i]).first(count)});
      tokens += count;
    }
    return Run(shares, /*decode=*/false);
  }

  // One position of all prompts that have it; false when none has.
  absl::StatusOr<bool> Decode(int32_t position) {
    std::vector<ForcedShare> shares;
    for (size_t i = 0; i < prompts_.size(); ++i) {
      if (position >= static_cast<int32_t>(prompts_[i].size())) continue;
      shares.push_back({static_cast<int32_t>(i), position, std::span(prompts_[i]).subspan(position, 1)});
    }
    if (shares.empty()) return false;
    RETURN_IF_ERROR(Run(shares, /*decode=*/true));
    return true;
  }

 private:
  absl::Status Run(const std::vector<ForcedShare>& shares, bool decode) {
    RETURN_IF_ERROR(model_.Step(shares, decode));
    int32_t first_row = 0;
    for (const ForcedShare& share : shares) {
      const auto count = static_cast<int32_t>(share.ids.size());
      logits_.resize(static_cast<size_t>(count) * model_.vocab_size() * DTypeBytes(model_.logits_dtype()));
      RETURN_IF_ERROR(model_.Logits(first_row, count, logits_.data()));
      const std::array<int32_t, 3> head = {share.sequence, share.first_position, count};
      RETURN_IF_ERROR(WriteAll(head.data(), sizeof(head)));
      RETURN_IF_ERROR(WriteAll(logits_.data(), logits_.size()));
      first_row += count;
    }
    return absl::OkStatus();
  }

  ForcedModel& model_;
  const std::vector<std::vector<int32_t>>& prompts_;
  std::vector<std::byte> logits_;
};

absl::Status Main(Flags& flags) {
  ASSIGN_OR_RETURN(const auto prompts, ReadPrompts(flags.prompts_path));
  size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  flags.model.num_sequences = static_cast<int32_t>(prompts.size());
  flags.model.sequence_tokens = static_cast<int32_t>(longest);
  flags.model.step_tokens = std::max({flags.model.step_tokens, flags.model.num_sequences, flags.model.sequence_tokens});
  ASSIGN_OR_RETURN(const std::unique_ptr<ForcedModel> model,
                   flags.device == "cuda" ? MakeCudaForcedModel(flags.model) : MakeCpuForcedModel(flags.model));
  for (const auto& prompt : prompts) {
    for (const int32_t id : prompt) {
      if (id < 0 || id >= model->vocab_size()) {
        return absl::InvalidArgumentError(
            absl::StrCat(flags.prompts_path, ": id ", id, " of a vocabulary of ", model->vocab_size()));
      }
    }
  }
  const std::string head = absl::StrCat("{\"prompts\": ", prompts.size(), ", \"vocab_size\": ", model->vocab_size(),
                                        ", \"bytes\": ", DTypeBytes(model->logits_dtype()), ", \"numerics\": \"",
                                        model->numerics(), "\"}\n");
  RETURN_IF_ERROR(WriteAll(head.data(), head.size()));
  Dump dump(*model, prompts);
  RETURN_IF_ERROR(dump.Prefill(flags.decode_from, flags.model.step_tokens));
  for (int32_t position = flags.decode_from;; ++position) {
    ASSIGN_OR_RETURN(const bool any, dump.Decode(position));
    if (!any) return absl::OkStatus();
  }
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  swiftlet::Flags flags;
  flags.model.num_threads = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
  CLI::App app("The logits of every position of given prompts, to stdout.");
  app.add_option("--model", flags.model.model_directory, "model directory in the Hugging Face layout")->required();
  app.add_option("--prompts", flags.prompts_path, "file with a prompt a line: ids between spaces")->required();
  app.add_option("--device", flags.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--dtype", flags.model.dtype, "of the CPU: auto, bfloat16 or float32")
      ->check(CLI::IsMember({"auto", "bfloat16", "float32"}));
  app.add_flag("--reference", flags.model.reference, "CPU: the float32 oracle instead of the SIMD kernels");
  app.add_flag("--generic", flags.model.generic, "GPU: the portable kernels");
  app.add_flag("--deterministic", flags.model.deterministic, "GPU: batch-invariant kernels alone");
  app.add_option("--decode-from", flags.decode_from, "positions from this one on are decoded one at a time")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--step-tokens", flags.model.step_tokens, "most prompt ids of one step")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--threads", flags.model.num_threads, "of the CPU")->check(CLI::Range(1, 1024));
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = swiftlet::Main(flags); !status.ok()) {
    std::fprintf(stderr, "logits_dump: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
