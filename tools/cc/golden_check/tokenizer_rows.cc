#include "tools/cc/golden_check/tokenizer_rows.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/text/encode/json_fields.h"
#include "services/text/encode/tokenizer_loader.h"
#include "tools/cc/golden_check/golden_report.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

constexpr size_t kMaxFileBytes = size_t{1} << 30;

// Empty when the row passes, else what differs. `line_end`: what stood after the text when the ids were made.
absl::StatusOr<std::string> CheckRow(const Tokenizer& tokenizer, std::string_view line, std::string_view line_end) {
  ASSIGN_OR_RETURN(const json::value row, ParseStrictJson(line));
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(row, ""));
  ASSIGN_OR_RETURN(const std::string_view text, fields.String("text"));
  ASSIGN_OR_RETURN(const json::array* expected, fields.Array("ids"));
  std::vector<int32_t> expected_ids;
  for (const json::value& id : *expected) {
    if (!id.is_int64()) return absl::InvalidArgumentError("ids: not an array of integers");
    expected_ids.push_back(static_cast<int32_t>(id.get_int64()));
  }
  const TextSegment segments[] = {{text, true}, {line_end, true}};
  const auto ids = tokenizer.Encode(segments, {.add_special_tokens = false});
  if (!ids.ok()) return absl::StrCat("encode: ", ids.status().ToString());
  if (*ids != expected_ids) {
    return absl::StrCat("encode: expected [", absl::StrJoin(expected_ids, " "), "], got [", absl::StrJoin(*ids, " "),
                        "]");
  }
  if (fields.Find("decoded") == nullptr) return std::string();
  ASSIGN_OR_RETURN(const std::string_view decoded, fields.String("decoded"));
  for (const int32_t id : expected_ids) {
    if (id < 0 || id >= tokenizer.vocab_size()) return absl::StrCat("decode: no token ", id);
  }
  const std::string got = tokenizer.vocabulary().Decode(expected_ids, /*skip_special=*/false);
  if (got != decoded) return absl::StrCat("decode: expected \"", ToAbsl(decoded), "\", got \"", got, "\"");
  return std::string();
}

// spm_encode keeps the CR of a file with CRLF line ends, and rows written from such a file may hold the text without
// it. That is so for all rows or none, so the first one tells.
std::string_view LineEndOf(const Tokenizer& tokenizer, std::string_view rows) {
  const std::string_view first = rows.substr(0, rows.find('\n'));
  const auto passes = [&](std::string_view line_end) {
    const absl::StatusOr<std::string> difference = CheckRow(tokenizer, first, line_end);
    return difference.ok() && difference->empty();
  };
  return !passes("") && passes("\r") ? "\r" : "";
}

}  // namespace

absl::StatusOr<bool> CheckTokenizerRows(const std::string& folder, const json::value& entry) {
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(entry, "tokenizers[]"));
  ASSIGN_OR_RETURN(const std::string_view rows, fields.String("rows"));
  ASSIGN_OR_RETURN(const std::string_view directory, fields.String("tokenizer"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                   LoadTokenizer(absl::StrCat(folder, "/", ToAbsl(directory))));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(absl::StrCat(folder, "/", ToAbsl(rows)), kMaxFileBytes));
  const std::string_view line_end = LineEndOf(*tokenizer, text);
  if (!line_end.empty()) {
    std::printf("%s: the ids are those of lines that ended in CR, which the texts lack; checked with it\n",
                std::string(rows).c_str());
  }
  GoldenReport report{std::string(rows)};
  std::string_view rest = text;
  for (int line_number = 1; !rest.empty(); ++line_number) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.empty()) continue;
    const absl::StatusOr<std::string> difference = CheckRow(*tokenizer, line, line_end);
    if (!difference.ok()) {
      report.Fail(absl::StrCat("line ", line_number, ": ", difference.status().ToString()));
    } else if (!difference->empty()) {
      report.Fail(absl::StrCat("line ", line_number, ": ", *difference));
    } else {
      report.Pass();
    }
  }
  report.Print();
  return report.all_passed();
}

}  // namespace swiftlet
