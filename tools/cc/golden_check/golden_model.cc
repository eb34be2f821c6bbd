#include "tools/cc/golden_check/golden_model.h"

#include <absl/strings/str_cat.h>

#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/text/encode/json_fields.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

template <typename Number>
absl::Status ReadNumbers(const JsonFields& fields, std::string_view key, std::vector<Number>& out) {
  ASSIGN_OR_RETURN(const json::array* values, fields.Array(key));
  for (const json::value& value : *values) {
    if (!value.is_number()) return absl::InvalidArgumentError(absl::StrCat(fields.PathOf(key), ": not all numbers"));
    json::error_code error;
    out.push_back(value.to_number<Number>(error));
    if (error) return absl::InvalidArgumentError(absl::StrCat(fields.PathOf(key), ": a number out of range"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GoldenModel> ReadGoldenModel(const std::string& directory) {
  GoldenModel model;
  model.directory = directory;
  ASSIGN_OR_RETURN(const json::value config, ReadStrictJsonFile(directory + "/config.json", size_t{1} << 20));
  ASSIGN_OR_RETURN(const JsonFields config_fields, JsonFields::Of(config, directory + "/config.json"));
  if (config_fields.Find("quantization_config") != nullptr) {
    ASSIGN_OR_RETURN(const JsonFields quantization, config_fields.Object("quantization_config"));
    ASSIGN_OR_RETURN(const std::string_view method, quantization.String("quant_method", "unnamed"));
    model.quantization = std::string(method);
  }
  ASSIGN_OR_RETURN(const json::value golden, ReadStrictJsonFile(directory + "/golden.json", size_t{256} << 20));
  ASSIGN_OR_RETURN(const JsonFields golden_fields, JsonFields::Of(golden, directory + "/golden.json"));
  ASSIGN_OR_RETURN(const json::array* cases, golden_fields.Array("cases"));
  for (size_t i = 0; i < cases->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonFields fields,
                     JsonFields::Of((*cases)[i], absl::StrCat(golden_fields.PathOf("cases"), "[", i, "]")));
    GoldenCase golden_case;
    RETURN_IF_ERROR(ReadNumbers(fields, "prompt", golden_case.prompt));
    RETURN_IF_ERROR(ReadNumbers(fields, "greedy", golden_case.greedy));
    RETURN_IF_ERROR(ReadNumbers(fields, "top2_gap", golden_case.top2_gap));
    RETURN_IF_ERROR(ReadNumbers(fields, "logprob", golden_case.logprob));
    RETURN_IF_ERROR(ReadNumbers(fields, "last_logits", golden_case.last_logits));
    if (golden_case.prompt.empty() || golden_case.top2_gap.size() != golden_case.greedy.size() ||
        golden_case.logprob.size() != golden_case.greedy.size()) {
      return absl::InvalidArgumentError(absl::StrCat(fields.path(), ": lists of different lengths, or no prompt"));
    }
    model.cases.push_back(std::move(golden_case));
  }
  return model;
}

}  // namespace swiftlet
