#include "services/text/encode/post_processor.h"

#include <absl/strings/str_cat.h>

#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/json_fields.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

absl::StatusOr<int32_t> IdFrom(const json::value& value, const std::string& path, int32_t num_ids) {
  if (!value.is_int64()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected an integer, found ", ToAbsl(JsonKind(value))));
  }
  const int64_t id = value.get_int64();
  if (id < 0 || id >= num_ids) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": id ", id, " is not in [0, ", num_ids, ")"));
  }
  return static_cast<int32_t>(id);
}

// {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": NAME}}, {"Sequence": {"id": "A"}}, ...],
//  "special_tokens": {NAME: {"ids": [...]}}}
absl::Status AddTemplate(const JsonFields& fields, int32_t num_ids, PostProcessor& result) {
  ASSIGN_OR_RETURN(const json::array* single, fields.Array("single"));
  std::vector<int32_t> before;
  std::vector<int32_t> after;
  bool seen_text = false;
  for (size_t i = 0; i < single->size(); ++i) {
    const std::string path = absl::StrCat(fields.PathOf("single"), "[", i, "]");
    ASSIGN_OR_RETURN(const JsonFields item, JsonFields::Of((*single)[i], path));
    if (item.Find("Sequence") != nullptr) {
      if (seen_text) return absl::UnimplementedError(absl::StrCat(path, ": a second Sequence is not supported"));
      seen_text = true;
      continue;
    }
    ASSIGN_OR_RETURN(const JsonFields special, item.Object("SpecialToken"));
    ASSIGN_OR_RETURN(const std::string_view name, special.String("id"));
    ASSIGN_OR_RETURN(const JsonFields tokens, fields.Object("special_tokens"));
    ASSIGN_OR_RETURN(const JsonFields token, tokens.Object(name));
    ASSIGN_OR_RETURN(const json::array* ids, token.Array("ids"));
    for (const json::value& value : *ids) {
      ASSIGN_OR_RETURN(const int32_t id, IdFrom(value, token.PathOf("ids"), num_ids));
      (seen_text ? after : before).push_back(id);
    }
  }
  if (!seen_text) return absl::InvalidArgumentError(absl::StrCat(fields.PathOf("single"), ": no Sequence in it"));
  result.before.insert(result.before.begin(), before.begin(), before.end());
  result.after.insert(result.after.end(), after.begin(), after.end());
  return absl::OkStatus();
}

// {"type": "BertProcessing" or "RobertaProcessing", "sep": [TEXT, ID], "cls": [TEXT, ID]}
absl::Status AddPair(const JsonFields& fields, int32_t num_ids, PostProcessor& result) {
  for (const std::string_view key : {"cls", "sep"}) {
    ASSIGN_OR_RETURN(const json::array* pair, fields.Array(key));
    if (pair->size() != 2) return absl::InvalidArgumentError(absl::StrCat(fields.PathOf(key), ": expected [text, id]"));
    ASSIGN_OR_RETURN(const int32_t id, IdFrom((*pair)[1], absl::StrCat(fields.PathOf(key), "[1]"), num_ids));
    if (key == "cls") {
      result.before.insert(result.before.begin(), id);
    } else {
      result.after.push_back(id);
    }
  }
  return absl::OkStatus();
}

absl::Status Add(const json::value& description, const std::string& path, int32_t num_ids, PostProcessor& result) {
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(description, path));
  ASSIGN_OR_RETURN(const std::string_view type, fields.String("type"));
  if (type == "TemplateProcessing") return AddTemplate(fields, num_ids, result);
  if (type == "BertProcessing" || type == "RobertaProcessing") return AddPair(fields, num_ids, result);
  if (type == "ByteLevel") return absl::OkStatus();  // moves offsets only
  if (type == "Sequence") {
    ASSIGN_OR_RETURN(const json::array* members, fields.Array("processors"));
    for (size_t i = 0; i < members->size(); ++i) {
      RETURN_IF_ERROR(Add((*members)[i], absl::StrCat(path, ".processors[", i, "]"), num_ids, result));
    }
    return absl::OkStatus();
  }
  return absl::UnimplementedError(absl::StrCat(
      fields.PathOf("type"), ": post-processor \"", ToAbsl(type),
      "\" is not supported (TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing, Sequence are)"));
}

}  // namespace

absl::StatusOr<PostProcessor> ParsePostProcessor(const json::value& description, int32_t num_ids) {
  PostProcessor result;
  if (!description.is_null()) RETURN_IF_ERROR(Add(description, "post_processor", num_ids, result));
  return result;
}

}  // namespace swiftlet
