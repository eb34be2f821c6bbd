#include "services/gateway/transcode/request_builder.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"
#include "services/gateway/transcode/percent_encoding.h"

namespace swiftlet {
namespace {

using google::protobuf::Message;

absl::Status SetPathFields(const BindingTable::Match& match, Message& request) {
  for (size_t i = 0; i < match.captures.size(); ++i) {
    const PathTemplate::Capture& capture = match.captures[i];
    const auto text = PercentDecoded(
        capture.text, capture.variable->one_segment ? PercentDecoding::kAll : PercentDecoding::kAllButSlash);
    const FieldPath& field = match.binding->path_fields[i];
    if (!text.has_value()) {
      return InvalidField(ToString(field), "the path is not UTF-8 text in percent-encoding");
    }
    RETURN_IF_ERROR(SetFromText(field, *text, request));
  }
  return absl::OkStatus();
}

absl::Status SetQueryField(const Binding& binding, std::string_view key, std::string_view value,
                           std::set<FieldPath>& seen, Message& request) {
  const auto name = PercentDecoded(key, PercentDecoding::kPlusIsSpaceToo);
  if (!name.has_value()) {
    return InvalidField("query", "the name of a query parameter is not UTF-8 text in percent-encoding");
  }
  if (binding.body == Binding::kWhole) {
    return InvalidField(*name, "this path takes no query parameters: all fields stand in the path and the body");
  }
  ASSIGN_OR_RETURN(FieldPath path, FindFieldPath(*request.GetDescriptor(), *name));
  const std::string field = ToString(path);
  if (!TakesText(*path.back())) {
    return InvalidField(field, absl::StrCat("`", field, "` cannot be given as a query parameter"));
  }
  if (path.front() == binding.body_field)
    return InvalidField(field, absl::StrCat("`", field, "` is given by the body"));
  const auto& in_path = binding.path_fields;
  if (std::find(in_path.begin(), in_path.end(), path) != in_path.end()) {
    return InvalidField(field, absl::StrCat("`", field, "` is given by the path already"));
  }
  if (!seen.insert(path).second && !path.back()->is_repeated()) {
    return InvalidField(field, absl::StrCat("`", field, "` is given twice"));
  }
  const auto text = PercentDecoded(value, PercentDecoding::kPlusIsSpaceToo);
  if (!text.has_value()) {
    return InvalidField(field, absl::StrCat("`", field, "` is not UTF-8 text in percent-encoding"));
  }
  return SetFromText(path, *text, request);
}

absl::Status SetQueryFields(const Binding& binding, std::string_view query, Message& request) {
  std::set<FieldPath> seen;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(query), '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    RETURN_IF_ERROR(SetQueryField(binding, ToStd(pair.first), ToStd(pair.second), seen, request));
  }
  return absl::OkStatus();
}

absl::Status SetBody(const Binding& binding, std::string_view body, Message& request) {
  if (binding.body == Binding::kNone) {
    if (body.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("this path takes no body: all fields stand in the path and the query");
  }
  ASSIGN_OR_RETURN(const boost::json::value json, ParseStrictJson(body, {.max_depth = limits::kMaxJsonDepth}));
  if (binding.body == Binding::kField) return SetFieldFromJson(*binding.body_field, json, request);
  return SetFromJson(json, binding.path_fields, request);
}

}  // namespace

absl::Status BuildRequest(const BindingTable::Match& match, std::string_view query, std::string_view body,
                          Message& request) {
  RETURN_IF_ERROR(SetPathFields(match, request));
  RETURN_IF_ERROR(SetQueryFields(*match.binding, query, request));
  return SetBody(*match.binding, body, request);
}

}  // namespace swiftlet
