#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include "engine/base/string_view.h"
#include "tools/swiftlet/inspect/report_text.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

json::object Model(const ModelConfig& config, int64_t parameters) {
  return {{"architecture", config.architecture},
          {"parameters", parameters},
          {"num_layers", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_heads", config.num_heads},
          {"num_kv_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"vocab_size", config.vocab_size},
          {"max_positions", config.max_position},
          {"tied_head", config.tied_head}};
}

json::object Weights(const StoredWeights& weights) {
  json::object kinds;
  for (const auto& [name, kind] : weights.kinds) {
    kinds[name] = json::object{{"tensors", kind.tensors}, {"bytes", kind.bytes}};
  }
  return {{"files", json::value_from(weights.files)},
          {"tensors", weights.tensors},
          {"unused_tensors", weights.unused_tensors},
          {"bytes", weights.bytes},
          {"dtypes", std::move(kinds)}};
}

json::object Text(const TextFacts& text) {
  json::object chat_template;
  if (text.has_template) {
    chat_template = {{"system_messages", text.takes_system},
                     {"tools", text.tools.empty() ? json::value() : json::value(text.tools)},
                     {"variables", json::value_from(text.variables)}};
  }
  json::object reasoning;
  if (!text.reasoning_open.empty()) reasoning = {{"open", text.reasoning_open}, {"close", text.reasoning_close}};
  json::object defaults;
  for (const auto& [name, value] : text.defaults) defaults[name] = value;
  return {{"tokenizer",
           json::object{{"file", text.tokenizer_file}, {"kind", text.kind}, {"vocabulary_size", text.vocabulary}}},
          {"chat_template", text.has_template ? json::value(std::move(chat_template)) : json::value()},
          {"reasoning_tags", text.reasoning_open.empty() ? json::value() : json::value(std::move(reasoning))},
          {"eos_token_ids", json::value_from(text.eos_token_ids)},
          {"generation_defaults", std::move(defaults)}};
}

json::object Cost(const BackendCost& cost, int32_t max_position, const std::vector<int64_t>& memory_bytes) {
  json::array fits;
  for (const int64_t memory : memory_bytes) {
    for (const int64_t length : SequenceLengths(max_position)) {
      fits.push_back(json::object{{"memory_bytes", memory},
                                  {"sequence_tokens", length},
                                  {"sequences", cost.memory.SequencesIn(memory, length)}});
    }
  }
  return {{"backend", cost.backend},
          {"dtype", DTypeName(cost.dtype)},
          {"automatic", cost.automatic},
          {"weight_bytes", cost.memory.weight_bytes},
          {"kv_bytes_per_token", cost.memory.kv_token_bytes()},
          {"fits", std::move(fits)}};
}

}  // namespace

std::string ReportJson(const ModelReport& report, const std::vector<int64_t>& memory_bytes) {
  json::object out = {{"directory", report.directory}, {"servable", report.problems.empty()}};
  out["problems"] = json::value_from(report.problems);
  out["notes"] = json::value_from(report.notes);
  if (report.config.has_value()) out["model"] = Model(*report.config, report.parameters);
  if (report.weights.has_value()) out["weights"] = Weights(*report.weights);
  if (report.text.has_value()) {
    for (auto& member : Text(*report.text)) out[member.key()] = member.value();
  }
  json::array costs;
  for (const BackendCost& cost : report.costs) {
    costs.push_back(Cost(cost, report.config->max_position, memory_bytes));
  }
  out["memory"] = std::move(costs);
  return json::serialize(out) + "\n";
}

}  // namespace swiftlet
