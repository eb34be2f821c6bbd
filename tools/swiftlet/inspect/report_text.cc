#include "tools/swiftlet/inspect/report_text.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include <algorithm>

#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr int kLabelWidth = 22;

std::string Grouped(int64_t value) {
  const std::string digits = absl::StrCat(value);
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) grouped.push_back(',');
    grouped.push_back(digits[i]);
  }
  return grouped;
}

// Decimal units, as memory and disks are sold: "3.55 GB".
std::string Bytes(int64_t bytes) {
  if (bytes < 1'000) return absl::StrCat(bytes, " bytes");
  const char* const units[] = {"KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes) / 1e3;
  size_t unit = 0;
  while (value >= 999.5 && unit < 3) {
    value /= 1e3;
    ++unit;
  }
  return absl::StrFormat(value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void Line(std::string& out, std::string_view label, std::string_view text) {
  absl::StrAppendFormat(&out, "%-*s%s\n", kLabelWidth, std::string(label), std::string(text));
}

std::string BackendName(const BackendCost& cost) {
  return absl::StrCat(cost.backend == "cpu" ? "CPU" : "GPU", ", ", ToAbsl(DTypeName(cost.dtype)),
                      cost.automatic ? " *" : "");
}

void AppendModel(const ModelReport& report, std::string& out) {
  if (report.config.has_value()) {
    const ModelConfig& config = *report.config;
    Line(out, "architecture", absl::StrCat(config.architecture, ", ", Grouped(report.parameters), " parameters"));
    Line(out, "shape",
         absl::StrCat(config.num_layers, " layers, hidden ", Grouped(config.hidden_size), ", feed-forward ",
                      Grouped(config.intermediate_size), ", ", config.num_heads, " heads of ", config.head_dim, ", ",
                      config.num_kv_heads, " of keys and values",
                      config.tied_head ? ", head tied to the embedding" : ""));
    Line(out, "context", absl::StrCat(Grouped(config.max_position), " positions"));
  }
  if (report.weights.has_value()) {
    const StoredWeights& weights = *report.weights;
    std::vector<std::string> kinds;
    for (const auto& [name, kind] : weights.kinds) kinds.push_back(absl::StrCat(kind.tensors, " ", name));
    Line(out, "weights",
         absl::StrCat(Bytes(weights.bytes), " in ", weights.files.size(),
                      weights.files.size() == 1 ? " file, " : " files, ", Grouped(weights.tensors),
                      " tensors: ", absl::StrJoin(kinds, ", ")));
  }
}

void AppendTextFacts(const ModelReport& report, std::string& out) {
  if (!report.text.has_value()) return;
  const TextFacts& text = *report.text;
  std::string tokenizer = absl::StrCat(text.tokenizer_file, ", ", text.kind, ", ", Grouped(text.vocabulary), " tokens");
  if (report.config.has_value()) absl::StrAppend(&tokenizer, " (logits ", Grouped(report.config->vocab_size), " wide)");
  Line(out, "tokenizer", tokenizer);
  if (text.has_template) {
    std::vector<std::string> can;
    can.emplace_back(text.takes_system ? "system messages" : "no system messages");
    if (!text.tools.empty()) can.push_back(absl::StrCat("tools as ", text.tools, " writes them"));
    if (!text.reasoning_open.empty()) can.push_back(absl::StrCat("reasoning in ", text.reasoning_open));
    if (!text.variables.empty()) can.push_back(absl::StrCat("variables ", absl::StrJoin(text.variables, ", ")));
    Line(out, "chat template", absl::StrJoin(can, "; "));
  } else {
    Line(out, "chat template", "none");
  }
  Line(out, "end of sequence", text.eos_token_ids.empty() ? "none" : absl::StrJoin(text.eos_token_ids, ", "));
  Line(out, "drawn with",
       text.defaults.empty() ? "the server's defaults"
                             : absl::StrJoin(text.defaults, ", ", [](std::string* to, const auto& one) {
                                 absl::StrAppendFormat(to, "%s %.4g", one.first, one.second);
                               }));
}

void AppendCosts(const ModelReport& report, const std::vector<int64_t>& memory_bytes, std::string& out) {
  if (report.costs.empty()) return;
  absl::StrAppendFormat(&out, "\n%-*s", kLabelWidth, "in memory");
  for (const BackendCost& cost : report.costs) absl::StrAppendFormat(&out, "%18s", BackendName(cost));
  absl::StrAppendFormat(&out, "\n%-*s", kLabelWidth, "weights");
  for (const BackendCost& cost : report.costs) absl::StrAppendFormat(&out, "%18s", Bytes(cost.memory.weight_bytes));
  absl::StrAppendFormat(&out, "\n%-*s", kLabelWidth, "a token in the cache");
  for (const BackendCost& cost : report.costs) absl::StrAppendFormat(&out, "%18s", Bytes(cost.memory.kv_token_bytes()));
  absl::StrAppend(&out, "\n");
  for (const int64_t memory : memory_bytes) {
    absl::StrAppend(&out, "\nsequences that fit in ", Bytes(memory), " beside the weights\n");
    for (const int64_t length : SequenceLengths(report.config->max_position)) {
      absl::StrAppendFormat(&out, "%-*s", kLabelWidth, absl::StrCat("  of ", Grouped(length), " tokens"));
      for (const BackendCost& cost : report.costs) {
        absl::StrAppendFormat(&out, "%18s", Grouped(cost.memory.SequencesIn(memory, length)));
      }
      absl::StrAppend(&out, "\n");
    }
  }
  absl::StrAppend(&out, "* what the backend takes unless told otherwise. The buffers of a step come on top.\n");
}

}  // namespace

std::vector<int64_t> SequenceLengths(int32_t max_position) {
  std::vector<int64_t> lengths;
  for (int64_t length = 1024; length < max_position; length *= 4) lengths.push_back(length);
  lengths.push_back(max_position);
  return lengths;
}

std::string ReportText(const ModelReport& report, const std::vector<int64_t>& memory_bytes) {
  std::string out;
  Line(out, "directory", report.directory);
  AppendModel(report, out);
  AppendTextFacts(report, out);
  for (const std::string& note : report.notes) Line(out, "note", note);
  AppendCosts(report, memory_bytes, out);
  if (!report.problems.empty()) out.push_back('\n');
  for (const std::string& problem : report.problems) Line(out, "PROBLEM", problem);
  return out;
}

}  // namespace swiftlet
