#include "services/text/encode/token_decoder.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/byte_alphabet.h"
#include "services/text/encode/json_fields.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

int ByteOfFallbackToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return -1;
  const int high = HexDigit(token[3]);
  const int low = HexDigit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

absl::StatusOr<TokenDecoder> TokenDecoder::Create(const json::value& description) {
  TokenDecoder decoder;
  if (!description.is_null()) RETURN_IF_ERROR(decoder.Append(description, "decoder"));
  return decoder;
}

absl::Status TokenDecoder::Append(const json::value& description, const std::string& path) {
  ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Of(description, path));
  ASSIGN_OR_RETURN(const std::string_view type, fields.String("type"));
  if (type == "Sequence") {
    ASSIGN_OR_RETURN(const json::array* members, fields.Array("decoders"));
    for (size_t i = 0; i < members->size(); ++i) {
      RETURN_IF_ERROR(Append((*members)[i], absl::StrCat(path, ".decoders[", i, "]")));
    }
    return absl::OkStatus();
  }
  if (rules_.kind == JoinRules::Kind::kByteLevel) {
    return absl::UnimplementedError(absl::StrCat(path, ": a decoder after ByteLevel is not supported"));
  }
  if (type == "ByteLevel") {
    rules_.kind = JoinRules::Kind::kByteLevel;
  } else if (type == "Metaspace") {
    ASSIGN_OR_RETURN(const std::string_view replacement, fields.String("replacement"));
    ASSIGN_OR_RETURN(const bool add_prefix_space, fields.Bool("add_prefix_space", true));
    ASSIGN_OR_RETURN(const std::string_view scheme,
                     fields.String("prepend_scheme", add_prefix_space ? "always" : "never"));
    replacements_.emplace_back(replacement, " ");
    if (scheme != "never") rules_.leading_space = JoinRules::LeadingSpace::kStripFirstToken;
  } else if (type == "Replace") {
    ASSIGN_OR_RETURN(const JsonFields pattern, fields.Object("pattern"));
    ASSIGN_OR_RETURN(const std::string_view literal, pattern.String("String"));
    ASSIGN_OR_RETURN(const std::string_view content, fields.String("content"));
    if (literal.empty()) return absl::InvalidArgumentError(absl::StrCat(pattern.PathOf("String"), ": empty"));
    if (is_fused_) return absl::UnimplementedError(absl::StrCat(path, ": Replace after Fuse is not supported"));
    replacements_.emplace_back(literal, content);
  } else if (type == "ByteFallback") {
    has_byte_fallback_ = true;
  } else if (type == "Fuse") {
    is_fused_ = true;
  } else if (type == "Strip") {
    ASSIGN_OR_RETURN(const std::string_view content, fields.String("content"));
    ASSIGN_OR_RETURN(const int64_t start, fields.Integer("start", 0, 1));
    ASSIGN_OR_RETURN(const int64_t stop, fields.Integer("stop", 0, 0));
    if (content != " " || stop != 0 || !is_fused_) {
      return absl::UnimplementedError(absl::StrCat(path, ": only the strip of leading \" \" after Fuse is supported"));
    }
    if (start == 1) rules_.leading_space = JoinRules::LeadingSpace::kStripOne;
  } else {
    return absl::UnimplementedError(
        absl::StrCat(fields.PathOf("type"), ": decoder \"", ToAbsl(type),
                     "\" is not supported (ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip, Sequence are)"));
  }
  return absl::OkStatus();
}

bool TokenDecoder::BytesOf(std::string_view token, std::string& bytes) const {
  bytes.clear();
  if (rules_.kind == JoinRules::Kind::kByteLevel) {
    if (!AppendBytesOfToken(token, bytes)) bytes = token;
    return false;
  }
  const int byte = has_byte_fallback_ ? ByteOfFallbackToken(token) : -1;
  if (byte >= 0) {
    bytes.push_back(static_cast<char>(byte));
    return true;
  }
  bytes = token;
  for (const auto& [from, to] : replacements_) absl::StrReplaceAll({{from, to}}, &bytes);
  return false;
}

}  // namespace swiftlet
