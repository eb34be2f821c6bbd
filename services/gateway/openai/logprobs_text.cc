#include "services/gateway/openai/logprobs_text.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "services/gateway/json_writer.h"
#include "services/text/decode/utf8_stream.h"

namespace swiftlet {
namespace {

constexpr float kLowestLogprob = -9999;  // JSON has no -Infinity; vLLM's number for it

float Shown(const v1::TokenLogprob& candidate) {
  return candidate.logprob() >= kLowestLogprob ? candidate.logprob() : kLowestLogprob;  // NaN too
}

std::string Number(const v1::TokenLogprob& candidate) {
  std::string text;
  AppendJsonFloat(text, Shown(candidate));
  return text;
}

std::span<const v1::TokenLogprob* const> TopOf(const v1::PositionLogprobs& position, int32_t top) {
  const size_t count = static_cast<size_t>(std::min(position.top_size(), top));
  if (count == 0) return {};
  return {&*position.top().pointer_begin(), count};
}

void AppendBytes(std::string& out, std::string_view bytes) {
  out += '[';
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    AppendJsonInt(out, static_cast<uint8_t>(bytes[i]));
  }
  out += ']';
}

// The members of a candidate in a chat's "content", up to what comes after "bytes".
void AppendChatCandidate(std::string& out, const TokenSpelling& spelling, const v1::TokenLogprob& candidate) {
  out += R"({"token":)";
  AppendJsonString(out, SpellToken(spelling, candidate.token_id()));
  out += R"(,"logprob":)";
  AppendJsonFloat(out, Shown(candidate));
  out += R"(,"bytes":)";
  AppendBytes(out, spelling.vocabulary->Bytes(candidate.token_id()));
}

// {"token": logprob}, each spelling once: its likeliest token's.
std::string TopObject(const TokenSpelling& spelling, const v1::PositionLogprobs& position, int32_t top) {
  std::string out = "{";
  std::vector<std::string> seen;
  const auto add = [&](const v1::TokenLogprob& candidate) {
    std::string token = SpellToken(spelling, candidate.token_id());
    if (std::find(seen.begin(), seen.end(), token) != seen.end()) return;
    if (!seen.empty()) out += ',';
    AppendJsonString(out, token);
    out += ':';
    AppendJsonFloat(out, Shown(candidate));
    seen.push_back(std::move(token));
  };
  for (const v1::TokenLogprob* candidate : TopOf(position, top)) add(*candidate);
  add(position.chosen());
  out += '}';
  return out;
}

void AppendItem(std::string& list, std::string_view item) {
  if (!list.empty()) list += ',';
  list += item;
}

}  // namespace

std::string SpellToken(const TokenSpelling& spelling, int32_t id) {
  if (spelling.as_ids) return absl::StrCat("token_id:", id);
  const std::string_view bytes = spelling.vocabulary->Bytes(id);
  Utf8Stream stream;
  std::string text;
  stream.Push(bytes, text);
  stream.Flush(text);
  if (!stream.is_lossy()) return text;
  text = "bytes:";
  for (const char c : bytes) absl::StrAppend(&text, "\\x", absl::Hex(static_cast<uint8_t>(c), absl::kZeroPad2));
  return text;
}

void LogprobsText::AddCompletion(const std::string& token, const std::string& logprob, const std::string& top,
                                 int32_t text_offset) {
  std::string quoted;
  AppendJsonString(quoted, token);
  AppendItem(tokens_, quoted);
  AppendItem(logprobs_, logprob);
  AppendItem(tops_, top);
  AppendItem(offsets_, std::to_string(text_offset));
}

void LogprobsText::AddFirst(const TokenSpelling& spelling, int32_t id) {
  AddCompletion(SpellToken(spelling, id), "null", "null", 0);
}

void LogprobsText::Add(const TokenSpelling& spelling, const v1::PositionLogprobs& position, int32_t text_offset) {
  if (style_ == OpenAiStyle::kCompletion) {
    AddCompletion(SpellToken(spelling, position.chosen().token_id()), Number(position.chosen()),
                  TopObject(spelling, position, top_), text_offset);
    return;
  }
  if (!tokens_.empty()) tokens_ += ',';
  AppendChatCandidate(tokens_, spelling, position.chosen());
  tokens_ += R"(,"top_logprobs":[)";
  std::string_view comma;
  for (const v1::TokenLogprob* candidate : TopOf(position, top_)) {
    tokens_ += comma;
    AppendChatCandidate(tokens_, spelling, *candidate);
    tokens_ += '}';
    comma = ",";
  }
  tokens_ += "]}";
}

std::string LogprobsText::Take() {
  if (tokens_.empty()) return "null";
  std::string value;
  if (style_ == OpenAiStyle::kChat) {
    value = absl::StrCat(R"({"content":[)", tokens_, R"(],"refusal":null})");
  } else {
    value = absl::StrCat(R"({"tokens":[)", tokens_, R"(],"token_logprobs":[)", logprobs_, R"(],"top_logprobs":[)",
                         tops_, R"(],"text_offset":[)", offsets_, "]}");
  }
  for (std::string* column : {&tokens_, &logprobs_, &tops_, &offsets_}) column->clear();
  return value;
}

std::string PromptLogprobsText(const TokenSpelling& spelling, std::span<const v1::PositionLogprobs> positions,
                               int32_t top) {
  std::string out = "[null";
  for (const v1::PositionLogprobs& position : positions) {
    const auto candidates = TopOf(position, top);
    const auto add = [&](const v1::TokenLogprob& candidate, const std::string& rank) {
      absl::StrAppend(&out, "\"", candidate.token_id(), R"(":{"logprob":)");
      AppendJsonFloat(out, Shown(candidate));
      absl::StrAppend(&out, R"(,"rank":)", rank, R"(,"decoded_token":)");
      AppendJsonString(out, SpellToken(spelling, candidate.token_id()));
      out += '}';
    };
    out += ",{";
    bool has_chosen = false;
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (i > 0) out += ',';
      add(*candidates[i], std::to_string(i + 1));
      has_chosen |= candidates[i]->token_id() == position.chosen().token_id();
    }
    if (!has_chosen) {
      if (!candidates.empty()) out += ',';
      add(position.chosen(), "null");
    }
    out += '}';
  }
  out += ']';
  return out;
}

std::string RenderTokenized(const Generator::TokenizedPrompt& prompt, bool with_texts) {
  std::string out = absl::StrCat(R"({"count":)", prompt.ids.size(), R"(,"max_model_len":)", prompt.max_model_len,
                                 R"(,"tokens":)", TokenIdsText(prompt.ids), R"(,"token_strs":)");
  if (!with_texts) return out + "null}";
  const TokenSpelling spelling{prompt.vocabulary, false};
  std::string_view comma = "[";
  for (const int32_t id : prompt.ids) {
    out += comma;
    AppendJsonString(out, SpellToken(spelling, id));
    comma = ",";
  }
  out += prompt.ids.empty() ? "[]}" : "]}";
  return out;
}

std::string TokenIdsText(std::span<const int32_t> ids) {
  std::string out = "[";
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    AppendJsonInt(out, ids[i]);
  }
  out += ']';
  return out;
}

}  // namespace swiftlet
