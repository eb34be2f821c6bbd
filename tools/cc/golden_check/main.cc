// golden_check FOLDER [--device=cuda]: holds this build against the golden data that FOLDER/index.json lists, prints
// passed/total for each file and model, and exits with 1 when something differs, 2 when the folder cannot be read.
// With --device=cuda the models alone, on a GPU.

#include <cstdio>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "services/text/encode/json_fields.h"
#include "tools/cc/golden_check/model_cases.h"
#include "tools/cc/golden_check/template_rows.h"
#include "tools/cc/golden_check/tokenizer_rows.h"

namespace swiftlet {
namespace {

// Runs one part of the folder: a part that cannot be read or loaded counts as different, and the others still run.
void Count(const char* part, const absl::StatusOr<bool>& passed, bool* all_passed) {
  if (!passed.ok()) std::printf("%s: %s\n", part, passed.status().ToString().c_str());
  *all_passed = *all_passed && passed.ok() && *passed;
}

absl::StatusOr<bool> CheckFolder(const std::string& folder, bool on_gpu) {
  ASSIGN_OR_RETURN(const boost::json::value index, ReadStrictJsonFile(folder + "/index.json", size_t{1} << 20));
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(index, ""));
  bool all_passed = true;
  if (!on_gpu && fields.Find("tokenizers") != nullptr) {
    ASSIGN_OR_RETURN(const boost::json::array* entries, fields.Array("tokenizers"));
    for (const boost::json::value& entry : *entries) {
      Count("tokenizers", CheckTokenizerRows(folder, entry), &all_passed);
    }
  }
  if (const boost::json::value* templates = fields.Find("chat_templates"); !on_gpu && templates != nullptr) {
    Count("chat_templates", CheckTemplateRows(folder, *templates), &all_passed);
  }
  if (fields.Find("models") != nullptr) {
    ASSIGN_OR_RETURN(const boost::json::array* models, fields.Array("models"));
    for (const boost::json::value& model : *models) {
      if (!model.is_string()) return absl::InvalidArgumentError("models: expected strings");
      const std::string name(model.get_string());
      Count(name.c_str(), CheckModelCases(folder, name, on_gpu), &all_passed);
    }
  }
  return all_passed;
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  std::vector<std::string> folders;
  bool on_gpu = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--device=cuda") {
      on_gpu = true;
    } else {
      folders.push_back(argument);
    }
  }
  if (folders.size() != 1 || folders[0].starts_with("--")) {
    std::fprintf(stderr, "usage: golden_check FOLDER [--device=cuda]\n");
    return 2;
  }
  const absl::StatusOr<bool> passed = swiftlet::CheckFolder(folders[0], on_gpu);
  if (!passed.ok()) {
    std::fprintf(stderr, "golden_check: %s\n", passed.status().ToString().c_str());
    return 2;
  }
  return *passed ? 0 : 1;
}
