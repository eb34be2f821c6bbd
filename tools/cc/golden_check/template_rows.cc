#include "tools/cc/golden_check/template_rows.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/text/encode/chat_template.h"
#include "services/text/encode/json_fields.h"
#include "tools/cc/golden_check/golden_report.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

constexpr size_t kMaxRowsBytes = size_t{256} << 20;
constexpr size_t kMaxTemplateBytes = size_t{4} << 20;

// What strftime_now gives in the rows.
constexpr absl::CivilSecond kNow(2026, 1, 17, 5, 24, 24);

// A row's context: the variables of apply_chat_template, the special tokens among them.
absl::StatusOr<std::pair<ChatTemplateInput, SpecialTokens>> ReadContext(const json::value& value) {
  if (!value.is_object()) return absl::InvalidArgumentError("context: not an object");
  ChatTemplateInput input;
  input.now = kNow;
  input.add_generation_prompt = false;
  SpecialTokens tokens;
  for (const auto& member : value.get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (key == "messages") {
      input.messages = member.value();
    } else if (key == "tools") {
      input.tools = member.value();
    } else if (key == "documents") {
      input.documents = member.value();
    } else if (key == "add_generation_prompt" && member.value().is_bool()) {
      input.add_generation_prompt = member.value().get_bool();
    } else if (key.ends_with("_token") && member.value().is_string()) {
      tokens.emplace_back(std::string(key), std::string(member.value().get_string()));
    } else {
      input.keywords[member.key()] = member.value();
    }
  }
  return std::pair(std::move(input), std::move(tokens));
}

// Empty when the row passes, else what differs.
absl::StatusOr<std::string> CheckRow(const std::string& source, const JsonFields& row) {
  const json::value* context = row.Find("context");
  if (context == nullptr) return absl::InvalidArgumentError("context: missing");
  ASSIGN_OR_RETURN(const auto read, ReadContext(*context));
  const auto& [input, tokens] = read;
  ASSIGN_OR_RETURN(const std::unique_ptr<const ChatTemplate> chat_template, ChatTemplate::Compile(source, tokens));
  const absl::StatusOr<RenderedChat> rendered = chat_template->Render(input);
  if (row.Find("ok") == nullptr) {
    return rendered.ok() ? absl::StrCat("expected an error, got \"", absl::CEscape(rendered->Text()), "\"")
                         : std::string();
  }
  ASSIGN_OR_RETURN(const std::string_view expected, row.String("ok"));
  if (!rendered.ok()) return rendered.status().ToString();
  const std::string text = rendered->Text();
  if (text == expected) return std::string();
  return absl::StrCat("expected \"", absl::Utf8SafeCEscape(ToAbsl(expected)), "\", got \"", absl::Utf8SafeCEscape(text),
                      "\"");
}

}  // namespace

absl::StatusOr<bool> CheckTemplateRows(const std::string& folder, const json::value& entry) {
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(entry, "chat_templates"));
  ASSIGN_OR_RETURN(const std::string_view rows_path, fields.String("rows"));
  ASSIGN_OR_RETURN(const std::string_view templates, fields.String("folder"));
  ASSIGN_OR_RETURN(const json::value document,
                   ReadStrictJsonFile(absl::StrCat(folder, "/", ToAbsl(rows_path)), kMaxRowsBytes, {.max_depth = 64}));
  if (!document.is_array()) return absl::InvalidArgumentError(absl::StrCat(ToAbsl(rows_path), ": not an array"));
  std::map<std::string, std::string> sources;  // by name of the template
  std::map<std::string, GoldenReport> reports;
  GoldenReport whole{std::string(rows_path)};
  for (size_t i = 0; i < document.get_array().size(); ++i) {
    ASSIGN_OR_RETURN(const JsonFields row, JsonFields::Of(document.get_array()[i], absl::StrCat("row ", i)));
    ASSIGN_OR_RETURN(const std::string_view name_view, row.String("template"));
    ASSIGN_OR_RETURN(const std::string_view conversation, row.String("conversation", ""));
    const std::string name(name_view);
    if (!sources.contains(name)) {
      ASSIGN_OR_RETURN(sources[name],
                       ReadFile(absl::StrCat(folder, "/", ToAbsl(templates), "/", name), kMaxTemplateBytes));
    }
    GoldenReport& report = reports.try_emplace(name, "  " + name).first->second;
    const absl::StatusOr<std::string> difference = CheckRow(sources[name], row);
    if (difference.ok() && difference->empty()) {
      report.Pass();
      whole.Pass();
      continue;
    }
    const std::string what = absl::StrCat("row ", i, " (", ToAbsl(conversation),
                                          "): ", difference.ok() ? *difference : difference.status().ToString());
    report.Fail(what);
    whole.Fail(absl::StrCat(name, ", ", what));
  }
  whole.Print();
  for (const auto& [name, report] : reports) report.Print();
  return whole.all_passed();
}

}  // namespace swiftlet
