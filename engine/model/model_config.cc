#include "engine/model/model_config.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "engine/model/architectures.h"
#include "engine/model/config_reader.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxConfigBytes = 4 << 20;
// Wide enough for any model that fits a machine, narrow enough that products of two never overflow 64 bits.
constexpr int64_t kMaxVocab = 1 << 22;
constexpr int64_t kMaxWidth = 1 << 18;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxPosition = 1 << 24;

absl::StatusOr<const Architecture*> ReadArchitecture(const ConfigReader& reader) {
  const boost::json::value* list = reader.Find("architectures");
  if (list == nullptr || !list->is_array() || list->get_array().size() != 1 || !list->get_array()[0].is_string()) {
    return absl::InvalidArgumentError("\"architectures\" must be a list of one name, such as [\"Qwen2ForCausalLM\"]");
  }
  const boost::json::string& name = list->get_array()[0].get_string();
  const Architecture* architecture = FindArchitecture(std::string_view(name.data(), name.size()));
  if (architecture != nullptr) return architecture;
  std::vector<std::string> supported;
  for (const Architecture& known : Architectures()) supported.emplace_back(known.name);
  return absl::UnimplementedError(absl::StrCat("the architecture \"", name.c_str(),
                                               "\" is not supported; supported: ", absl::StrJoin(supported, ", ")));
}

absl::Status RefuseQuantized(const ConfigReader& reader) {
  ASSIGN_OR_RETURN(const auto quantization, reader.Object("quantization_config"));
  if (!quantization.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string method, quantization->String("quant_method", "unnamed"));
  return absl::UnimplementedError(
      absl::StrCat("the checkpoint is quantised (quant_method \"", method, "\"), which is not served yet"));
}

// Older configurations have "rope_theta" and "rope_scaling", newer ones "rope_parameters" that holds both.
absl::StatusOr<RopeConfig> ReadRope(const ConfigReader& reader) {
  constexpr double kMaxTheta = 1e12;
  ASSIGN_OR_RETURN(const auto parameters, reader.Object("rope_parameters"));
  ASSIGN_OR_RETURN(const auto scaling_key, reader.Object("rope_scaling"));
  const std::optional<ConfigReader>& scaling = parameters.has_value() ? parameters : scaling_key;

  RopeConfig rope;
  ASSIGN_OR_RETURN(rope.theta, reader.Number("rope_theta", 1, kMaxTheta, 10000.0));
  if (!scaling.has_value()) return rope;
  ASSIGN_OR_RETURN(rope.theta, scaling->Number("rope_theta", 1, kMaxTheta, rope.theta));
  ASSIGN_OR_RETURN(const double partial, scaling->Number("partial_rotary_factor", 0, 1, 1.0));
  if (partial != 1) return absl::UnimplementedError("\"partial_rotary_factor\" other than 1 is not supported");
  ASSIGN_OR_RETURN(const std::string type_key, scaling->String("type", "default"));
  ASSIGN_OR_RETURN(const std::string type, scaling->String("rope_type", type_key));
  if (type == "default") return rope;
  if (type != "llama3") {
    return absl::UnimplementedError(
        absl::StrCat("the rope type \"", type, "\" is not supported; supported: default, llama3"));
  }
  rope.llama3 = true;
  ASSIGN_OR_RETURN(rope.factor, scaling->Number("factor", 1, 1e6));
  ASSIGN_OR_RETURN(rope.low_freq_factor, scaling->Number("low_freq_factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.high_freq_factor, scaling->Number("high_freq_factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.original_max_position, scaling->Integer("original_max_position_embeddings", 1, kMaxPosition));
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", scaling->Name("high_freq_factor"), "\" is ",
                                                   rope.high_freq_factor, "; expected more than low_freq_factor, ",
                                                   rope.low_freq_factor));
  }
  return rope;
}

// Positions for which full attention is exact: all of them, unless layers really use a shorter window.
absl::StatusOr<int32_t> ReadMaxPosition(const ConfigReader& reader, const Architecture& architecture,
                                        int64_t num_layers) {
  ASSIGN_OR_RETURN(const int64_t trained, reader.Integer("max_position_embeddings", 1, kMaxPosition));
  const bool key_present = reader.Find("sliding_window") != nullptr;
  bool used = false;
  switch (architecture.sliding_window) {
    case SlidingWindow::kNone:
      break;
    case SlidingWindow::kIfUsed: {
      ASSIGN_OR_RETURN(used, reader.Boolean("use_sliding_window", false));
      ASSIGN_OR_RETURN(const int64_t from_layer, reader.Integer("max_window_layers", 0, kMaxLayers, 28));
      used = used && from_layer < num_layers;
      break;
    }
    case SlidingWindow::kIfNotNull:
      used = key_present || reader.Absent("sliding_window");
      break;
  }
  if (const boost::json::value* types = reader.Find("layer_types"); types != nullptr && types->is_array()) {
    const boost::json::array& list = types->get_array();
    const bool any = std::any_of(list.begin(), list.end(), [](const boost::json::value& type) {
      return type.is_string() && type.get_string() == "sliding_attention";
    });
    const bool unknown = std::any_of(list.begin(), list.end(), [](const boost::json::value& type) {
      return !type.is_string() || (type.get_string() != "sliding_attention" && type.get_string() != "full_attention");
    });
    if (unknown) {
      return absl::UnimplementedError("\"layer_types\" may hold only \"full_attention\" and \"sliding_attention\"");
    }
    if (any && key_present) used = true;
  }
  if (!used) return static_cast<int32_t>(trained);
  ASSIGN_OR_RETURN(const int64_t window,
                   reader.Integer("sliding_window", 1, kMaxPosition, architecture.default_sliding_window));
  return static_cast<int32_t>(std::min(trained, window));
}

absl::Status ReadSizes(const ConfigReader& reader, const Architecture& architecture, ModelConfig& config) {
  ASSIGN_OR_RETURN(config.vocab_size, reader.Integer("vocab_size", 1, kMaxVocab));
  ASSIGN_OR_RETURN(config.hidden_size, reader.Integer("hidden_size", 1, kMaxWidth));
  ASSIGN_OR_RETURN(config.intermediate_size, reader.Integer("intermediate_size", 1, kMaxWidth));
  ASSIGN_OR_RETURN(config.num_layers, reader.Integer("num_hidden_layers", 1, kMaxLayers));
  ASSIGN_OR_RETURN(config.num_heads, reader.Integer("num_attention_heads", 1, kMaxHeads));
  ASSIGN_OR_RETURN(config.num_kv_heads, reader.Integer("num_key_value_heads", 1, kMaxHeads, config.num_heads));
  if (config.num_heads % config.num_kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"num_key_value_heads\" is ", config.num_kv_heads,
                                                   "; expected a divisor of num_attention_heads, ", config.num_heads));
  }
  const int64_t derived =
      architecture.default_head_dim != 0 ? architecture.default_head_dim : config.hidden_size / config.num_heads;
  ASSIGN_OR_RETURN(config.head_dim, reader.Integer("head_dim", 1, kMaxWidth, derived));
  if (config.head_dim < 32 || config.head_dim > 256 || config.head_dim % 16 != 0) {
    return absl::UnimplementedError(
        absl::StrCat("head_dim ", config.head_dim, " is not supported; multiples of 16 from 32 to 256 are"));
  }
  if (int64_t{config.num_heads} * config.head_dim > kMaxWidth) {
    return absl::InvalidArgumentError(absl::StrCat(config.num_heads, " heads of ", config.head_dim,
                                                   " exceed the widest supported layer, ", kMaxWidth));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view config_json) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseStrictJson(config_json));
  if (!value.is_object()) return absl::InvalidArgumentError("expected a JSON object");
  const ConfigReader reader(value.get_object());
  ASSIGN_OR_RETURN(const Architecture* architecture, ReadArchitecture(reader));
  RETURN_IF_ERROR(RefuseQuantized(reader));

  ModelConfig config;
  config.architecture = architecture->name;
  RETURN_IF_ERROR(ReadSizes(reader, *architecture, config));
  ASSIGN_OR_RETURN(config.max_position, ReadMaxPosition(reader, *architecture, config.num_layers));
  ASSIGN_OR_RETURN(const double epsilon, reader.Number("rms_norm_eps", 0, 1, 1e-6));
  config.rms_norm_epsilon = static_cast<float>(epsilon);
  ASSIGN_OR_RETURN(config.rope, ReadRope(reader));
  ASSIGN_OR_RETURN(const double partial, reader.Number("partial_rotary_factor", 0, 1, 1.0));
  if (partial != 1) return absl::UnimplementedError("\"partial_rotary_factor\" other than 1 is not supported");
  ASSIGN_OR_RETURN(const std::string activation, reader.String("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish") {
    return absl::UnimplementedError(absl::StrCat("\"hidden_act\" \"", activation, "\" is not supported; silu is"));
  }
  ASSIGN_OR_RETURN(config.tied_head, reader.Boolean("tie_word_embeddings", false));
  ASSIGN_OR_RETURN(const bool attention_bias, reader.Boolean("attention_bias", false));
  ASSIGN_OR_RETURN(const bool mlp_bias, reader.Boolean("mlp_bias", false));
  config.qk_norm = architecture->qk_norm;
  config.output_bias = architecture->attention_bias_key && attention_bias;
  config.qkv_bias = architecture->always_qkv_bias || config.output_bias;
  config.mlp_bias = architecture->mlp_bias_key && mlp_bias;
  return config;
}

absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/config.json");
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  absl::StatusOr<ModelConfig> config = ParseModelConfig(text);
  if (!config.ok()) return absl::Status(config.status().code(), absl::StrCat(path, ": ", config.status().message()));
  return config;
}

}  // namespace swiftlet
