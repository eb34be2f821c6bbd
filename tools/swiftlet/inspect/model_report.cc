#include "tools/swiftlet/inspect/model_report.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/string_view.h"
#include "engine/model/architectures.h"
#include "engine/weights/checkpoint.h"
#include "services/tokenizer/served_model.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

bool Exists(const std::string& directory, const char* file) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::path(directory) / file, error);
}

// Once, though two readers may stumble over the same file.
void AddProblem(ModelReport& report, absl::string_view message) {
  if (std::find(report.problems.begin(), report.problems.end(), message) == report.problems.end()) {
    report.problems.emplace_back(message);
  }
}

void ReportWeights(ModelReport& report) {
  const auto checkpoint = Checkpoint::Open(report.directory);
  if (!checkpoint.ok()) {
    AddProblem(report, checkpoint.status().message());
    return;
  }
  StoredWeights stored;
  std::set<std::string> files;
  for (const TensorInfo& tensor : checkpoint->tensors()) {
    StoredWeights::Kind& kind = stored.kinds[tensor.dtype_name];
    ++kind.tensors;
    kind.bytes += static_cast<int64_t>(tensor.bytes);
    ++stored.tensors;
    stored.bytes += static_cast<int64_t>(tensor.bytes);
    files.insert(std::filesystem::path(checkpoint->PathOf(tensor)).filename().string());
  }
  stored.files.assign(files.begin(), files.end());
  stored.cpu_dtype = CpuDTypeOf(*checkpoint);
  if (report.config.has_value()) {
    absl::flat_hash_set<std::string> planned;
    int64_t unusable = 0;
    std::string first;
    for (const PlannedTensor& tensor : TensorsOf(*report.config)) {
      planned.insert(tensor.name);
      const auto found = checkpoint->Require(tensor.name, tensor.shape);
      if (found.ok()) continue;
      if (unusable++ == 0) first = std::string(found.status().message());
    }
    if (unusable > 0) {
      report.problems.push_back(
          unusable == 1 ? first : absl::StrCat(first, "; and ", unusable - 1, " tensors more are missing or unusable"));
    }
    stored.unused_tensors = std::count_if(checkpoint->tensors().begin(), checkpoint->tensors().end(),
                                          [&](const TensorInfo& tensor) { return !planned.contains(tensor.name); });
    if (stored.unused_tensors > 0) {
      report.notes.push_back(absl::StrCat(stored.unused_tensors, " of ", stored.tensors, " tensors are not read"));
    }
  }
  report.weights = std::move(stored);
}

bool TakesSystem(const ChatTemplate& chat_template) {
  ChatTemplateInput input;
  input.messages =
      json::array{json::object{{"role", "system"}, {"content", "s"}}, json::object{{"role", "user"}, {"content", "u"}}};
  return chat_template.Render(input).ok();
}

void ReportText(ModelReport& report) {
  const auto model = LoadServedModel({.name = "model", .directory = report.directory});
  if (!model.ok()) {
    AddProblem(report, model.status().message());
    return;
  }
  const v1::TokenizedModel& info = model->info;
  TextFacts text;
  text.tokenizer_file = Exists(report.directory, "tokenizer.json") ? "tokenizer.json" : "tokenizer.model";
  text.kind = info.decoder().kind() == v1::DecoderRules::KIND_BYTE_LEVEL ? "byte-level BPE"
              : text.tokenizer_file == "tokenizer.model"                 ? "sentencepiece"
                                                                         : "BPE of sentencepiece's kind";
  text.vocabulary = info.vocabulary_size();
  text.eos_token_ids.assign(info.eos_token_ids().begin(), info.eos_token_ids().end());
  if (text.eos_token_ids.empty()) report.notes.push_back("no end of sequence is named: answers end at max_tokens");
  text.has_template = model->chat_template != nullptr;
  if (text.has_template) {
    text.takes_system = TakesSystem(*model->chat_template);
    text.variables.assign(info.template_variables().begin(), info.template_variables().end());
    if (info.tool_format() == v1::TokenizedModel::TOOL_FORMAT_HERMES) text.tools = "hermes";
    if (info.tool_format() == v1::TokenizedModel::TOOL_FORMAT_LLAMA3) text.tools = "llama3";
  } else {
    report.notes.push_back(
        "no chat template (chat_template.jinja, or in tokenizer_config.json): plain prompts alone are served");
  }
  text.reasoning_open = info.reasoning_open_tag();
  text.reasoning_close = info.reasoning_close_tag();
  const v1::GenerationDefaults& defaults = info.defaults();
  if (defaults.has_temperature()) text.defaults["temperature"] = defaults.temperature();
  if (defaults.has_top_p()) text.defaults["top_p"] = defaults.top_p();
  if (defaults.has_top_k()) text.defaults["top_k"] = defaults.top_k();
  if (defaults.has_min_p()) text.defaults["min_p"] = defaults.min_p();
  if (defaults.has_repetition_penalty()) text.defaults["repetition_penalty"] = defaults.repetition_penalty();
  if (!Exists(report.directory, "generation_config.json")) {
    report.notes.push_back("generation_config.json is not there: requests draw with the server's defaults");
  }
  if (report.config.has_value() && text.vocabulary > report.config->vocab_size) {
    report.problems.push_back(absl::StrCat("the tokenizer knows ", text.vocabulary,
                                           " tokens and the model's logits are ", report.config->vocab_size,
                                           " wide: config.json is of another model"));
  }
  report.text = std::move(text);
}

}  // namespace

ModelReport InspectModel(const std::string& directory) {
  ModelReport report;
  report.directory = directory;
  auto config = ReadModelConfig(directory);
  if (config.ok()) {
    report.config = *std::move(config);
    for (const PlannedTensor& tensor : TensorsOf(*report.config)) {
      int64_t elements = 1;
      for (const int64_t size : tensor.shape) elements *= size;
      report.parameters += elements;
    }
  } else {
    AddProblem(report, config.status().message());
  }
  ReportWeights(report);
  ReportText(report);
  if (!report.config.has_value()) return report;
  for (const DType dtype : {DType::kBFloat16, DType::kFloat32}) {
    const auto cost = CpuMemoryCost(*report.config, dtype);
    if (!cost.ok()) continue;  // this build has no kernels for it
    report.costs.push_back({.backend = "cpu",
                            .dtype = dtype,
                            .automatic = report.weights.has_value() && report.weights->cpu_dtype == dtype,
                            .memory = *cost});
  }
  report.costs.push_back(
      {.backend = "cuda", .dtype = DType::kFloat16, .automatic = true, .memory = GpuMemoryCost(*report.config)});
  return report;
}

}  // namespace swiftlet
