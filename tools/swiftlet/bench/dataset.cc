#include "tools/swiftlet/bench/dataset.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "tools/swiftlet/bench/lengths.h"

namespace swiftlet::bench {
namespace {

constexpr size_t kMaxBytes = size_t{4} << 30;

absl::Status Wrong(std::string_view key, absl::string_view needed) {
  return absl::InvalidArgumentError(absl::StrCat("\"", ToAbsl(key), "\" must be ", needed));
}

absl::Status ReadLength(std::string_view key, const boost::json::value& value, int32_t* target) {
  const int64_t* const number = value.if_int64();
  if (number == nullptr || *number < 1 || *number > kMaxLength) return Wrong(key, absl::StrCat("1 to ", kMaxLength));
  *target = static_cast<int32_t>(*number);
  return absl::OkStatus();
}

absl::Status ReadText(std::string_view key, const boost::json::value& value, std::string* target) {
  const boost::json::string* const text = value.if_string();
  if (text == nullptr || text->empty()) return Wrong(key, "a string that is not empty");
  *target = std::string(*text);
  return absl::OkStatus();
}

absl::Status ReadIds(std::string_view key, const boost::json::value& value, std::vector<int32_t>* target) {
  const boost::json::array* const ids = value.if_array();
  if (ids == nullptr || ids->empty()) return Wrong(key, "a list of token ids");
  for (const boost::json::value& id : *ids) {
    const int64_t* const number = id.if_int64();
    if (number == nullptr || *number < 0 || *number > std::numeric_limits<int32_t>::max()) {
      return Wrong(key, "a list of token ids");
    }
    target->push_back(static_cast<int32_t>(*number));
  }
  return absl::OkStatus();
}

absl::Status ReadConversation(std::string_view key, const boost::json::value& value, std::string* target) {
  const boost::json::array* const turns = value.if_array();
  const boost::json::object* const first = turns == nullptr || turns->empty() ? nullptr : turns->front().if_object();
  const boost::json::value* const said = first == nullptr ? nullptr : first->if_contains("value");
  if (said == nullptr) return Wrong(key, "a list of objects with \"from\" and \"value\"");
  return ReadText("value", *said, target);
}

absl::Status ReadMember(std::string_view key, const boost::json::value& value, DatasetEntry* entry) {
  if (key == "prompt") return ReadText(key, value, &entry->text);
  if (key == "conversations") return ReadConversation(key, value, &entry->text);
  if (key == "prompt_token_ids") return ReadIds(key, value, &entry->ids);
  if (key == "input_tokens" || key == "input_length") return ReadLength(key, value, &entry->input_tokens);
  if (key == "output_tokens" || key == "output_length" || key == "max_tokens") {
    return ReadLength(key, value, &entry->output_tokens);
  }
  if (key == "messages") {
    if (!value.is_array() || value.as_array().empty()) return Wrong(key, "a list of messages");
    entry->messages_json = boost::json::serialize(value);
  }
  return absl::OkStatus();
}

absl::StatusOr<DatasetEntry> ReadEntry(const boost::json::value& value, const DatasetUse& use) {
  const boost::json::object* const object = value.if_object();
  if (object == nullptr) return absl::InvalidArgumentError("no JSON object");
  DatasetEntry entry;
  for (const auto& member : *object) RETURN_IF_ERROR(ReadMember(member.key(), member.value(), &entry));
  const bool has_text = !entry.text.empty();
  const bool has_ids = !entry.ids.empty();
  const bool has_messages = !entry.messages_json.empty();
  if (has_text + has_ids + has_messages > 1) return absl::InvalidArgumentError("more than one prompt");
  if (has_messages && !use.chat) return absl::InvalidArgumentError("\"messages\" need --endpoint chat");
  if (has_text && use.token_ids) return absl::InvalidArgumentError("a prompt of text needs --prompts text");
  if (has_ids && !use.token_ids) return absl::InvalidArgumentError("a prompt of ids needs --prompts ids");
  if (!has_text && !has_ids && !has_messages && entry.input_tokens == 0 && entry.output_tokens == 0) {
    return absl::InvalidArgumentError(
        "neither a prompt (\"prompt\", \"messages\", \"prompt_token_ids\", \"conversations\") nor a length "
        "(\"input_tokens\", \"output_tokens\")");
  }
  return entry;
}

absl::Status Located(absl::string_view kind, size_t number, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(kind, " ", number, ": ", status.message()));
}

absl::StatusOr<Dataset> ParseArray(std::string_view text, const DatasetUse& use) {
  ASSIGN_OR_RETURN(const boost::json::value value, ParseStrictJson(text));
  Dataset dataset;
  for (const boost::json::value& element : value.as_array()) {
    absl::StatusOr<DatasetEntry> entry = ReadEntry(element, use);
    if (!entry.ok()) return Located("element", dataset.size() + 1, entry.status());
    dataset.push_back(*std::move(entry));
  }
  return dataset;
}

absl::StatusOr<Dataset> ParseLines(std::string_view text, const DatasetUse& use) {
  Dataset dataset;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (absl::StripAsciiWhitespace(ToAbsl(line)).empty()) continue;
    const absl::StatusOr<boost::json::value> value = ParseStrictJson(line);
    if (!value.ok()) return Located("line", number, value.status());
    absl::StatusOr<DatasetEntry> entry = ReadEntry(*value, use);
    if (!entry.ok()) return Located("line", number, entry.status());
    dataset.push_back(*std::move(entry));
  }
  return dataset;
}

}  // namespace

absl::StatusOr<Dataset> ParseDataset(std::string_view text, const DatasetUse& use) {
  const absl::string_view stripped = absl::StripAsciiWhitespace(ToAbsl(text));
  ASSIGN_OR_RETURN(Dataset dataset, !stripped.empty() && stripped.front() == '[' ? ParseArray(ToStd(stripped), use)
                                                                                 : ParseLines(text, use));
  if (dataset.empty()) return absl::InvalidArgumentError("nothing stands in it");
  return dataset;
}

absl::StatusOr<Dataset> ReadDataset(const std::string& path, const DatasetUse& use) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxBytes);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrCat("--dataset: ", text.status().message()));
  absl::StatusOr<Dataset> dataset = ParseDataset(*text, use);
  if (!dataset.ok())
    return absl::InvalidArgumentError(absl::StrCat("--dataset: ", path, ": ", dataset.status().message()));
  return dataset;
}

}  // namespace swiftlet::bench
