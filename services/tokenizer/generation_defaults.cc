#include "services/tokenizer/generation_defaults.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"

namespace swiftlet {

namespace {

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

// One of the directory's JSON files; empty where there is none.
class ConfigFile {
 public:
  static absl::StatusOr<ConfigFile> Read(std::string path) {
    ConfigFile file;
    absl::StatusOr<boost::json::value> json = ReadStrictJsonFile(path, kMaxConfigBytes);
    file.path_ = std::move(path);
    if (absl::IsNotFound(json.status())) return file;
    RETURN_IF_ERROR(json.status());
    if (!json->is_object()) return file.Malformed("", "a JSON object");
    file.object_ = std::move(json->get_object());
    return file;
  }

  const boost::json::value* Find(std::string_view name) const {
    const boost::json::value* value = object_.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  absl::StatusOr<std::optional<double>> Number(std::string_view name, double lowest, double highest) const {
    const boost::json::value* value = Find(name);
    if (value == nullptr) return std::nullopt;
    boost::json::error_code error;
    const double number = value->is_number() ? value->to_number<double>(error) : 0;
    if (!value->is_number() || error.failed() || !(number >= lowest && number <= highest)) {
      return Malformed(name, absl::StrCat("a number from ", lowest, " to ", highest));
    }
    return number;
  }

  // An id or a list of ids.
  absl::Status AppendIds(std::string_view name, std::vector<int32_t>& ids) const {
    const boost::json::value* value = Find(name);
    if (value == nullptr) return absl::OkStatus();
    boost::json::array list;
    if (value->is_array()) {
      list = value->get_array();
    } else {
      list.push_back(*value);
    }
    for (const boost::json::value& id : list) {
      if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() > INT32_MAX) {
        return Malformed(name, "a token id or a list of token ids");
      }
      const int32_t number = static_cast<int32_t>(id.get_int64());
      if (std::find(ids.begin(), ids.end(), number) == ids.end()) ids.push_back(number);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Malformed(std::string_view name, std::string_view expected) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": ", ToAbsl(name), name.empty() ? "" : ": ", "expected ", ToAbsl(expected)));
  }

  std::string path_;
  boost::json::object object_;
};

}  // namespace

absl::StatusOr<GenerationConfig> ReadGenerationConfig(const std::string& model_directory) {
  ASSIGN_OR_RETURN(const ConfigFile generation, ConfigFile::Read(model_directory + "/generation_config.json"));
  ASSIGN_OR_RETURN(const ConfigFile config, ConfigFile::Read(model_directory + "/config.json"));
  GenerationConfig result;
  RETURN_IF_ERROR(generation.AppendIds("eos_token_id", result.eos_token_ids));
  if (result.eos_token_ids.empty()) RETURN_IF_ERROR(config.AppendIds("eos_token_id", result.eos_token_ids));

  v1::GenerationDefaults& defaults = result.defaults;
  ASSIGN_OR_RETURN(const auto temperature, generation.Number("temperature", 0, 2));
  ASSIGN_OR_RETURN(const auto top_p, generation.Number("top_p", 0, 1));
  ASSIGN_OR_RETURN(const auto top_k, generation.Number("top_k", -1, INT32_MAX));
  ASSIGN_OR_RETURN(const auto min_p, generation.Number("min_p", 0, 1));
  ASSIGN_OR_RETURN(const auto penalty, generation.Number("repetition_penalty", 0, 2));
  if (temperature.has_value()) defaults.set_temperature(static_cast<float>(*temperature));
  if (top_p.has_value() && *top_p > 0) defaults.set_top_p(static_cast<float>(*top_p));
  if (top_k.has_value()) defaults.set_top_k(static_cast<int32_t>(std::max(0.0, *top_k)));
  if (min_p.has_value()) defaults.set_min_p(static_cast<float>(*min_p));
  if (penalty.has_value() && *penalty > 0) defaults.set_repetition_penalty(static_cast<float>(*penalty));
  const boost::json::value* do_sample = generation.Find("do_sample");
  if (do_sample != nullptr && do_sample->is_bool() && !do_sample->get_bool()) defaults.set_temperature(0);
  return result;
}

}  // namespace swiftlet
