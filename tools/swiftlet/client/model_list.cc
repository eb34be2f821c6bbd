#include "tools/swiftlet/client/model_list.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "services/common/flag_names.h"

namespace swiftlet {

absl::StatusOr<std::vector<std::string>> ListModels(HttpClient& client) {
  ASSIGN_OR_RETURN(const std::string body, client.Get("/v1/models"));
  const auto value = ParseStrictJson(body);
  std::vector<std::string> names;
  const auto* data = value.ok() && value->is_object() ? value->as_object().if_contains("data") : nullptr;
  if (data != nullptr && data->is_array()) {
    for (const auto& model : data->as_array()) {
      const auto* id = model.is_object() ? model.as_object().if_contains("id") : nullptr;
      if (id != nullptr && id->is_string()) names.emplace_back(id->as_string());
    }
  }
  if (names.empty()) return absl::UnavailableError("/v1/models lists no model; is the server one of OpenAI's API?");
  return names;
}

absl::StatusOr<std::string> ChooseModel(const std::vector<std::string>& models, const std::string& wanted) {
  if (wanted.empty()) return models.front();
  if (std::find(models.begin(), models.end(), wanted) != models.end()) return wanted;
  const std::string nearest = NearestName(wanted, models);
  return absl::NotFoundError(absl::StrCat("the server has no model \"", wanted, "\"; ",
                                          nearest.empty() ? absl::StrCat("it has ", absl::StrJoin(models, ", "))
                                                          : absl::StrCat("did you mean ", nearest, "?")));
}

}  // namespace swiftlet
