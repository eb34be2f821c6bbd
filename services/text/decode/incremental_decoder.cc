#include "services/text/decode/incremental_decoder.h"

#include <algorithm>

namespace swiftlet {
namespace {

using Kind = DecoderRules::Kind;
using LeadingSpace = DecoderRules::LeadingSpace;

// The lists have a handful of entries.
bool Contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool HasStartRule(const DecoderRules& join) {
  return join.leading_space == LeadingSpace::kStripOne ||
         (join.kind == Kind::kMetaspace && join.leading_space != LeadingSpace::kKeep);
}

}  // namespace

IncrementalDecoder::IncrementalDecoder(const Vocabulary& vocabulary, const DecodingRules& rules)
    : vocabulary_(vocabulary), rules_(rules), at_start_(!rules.continues_text && HasStartRule(rules.join)) {}

void IncrementalDecoder::Push(int32_t id, std::string& out) {
  const std::string_view bytes = vocabulary_.Bytes(id);
  if (bytes.empty() || Contains(rules_.silent_ids, id)) return;
  const bool is_special = vocabulary_.IsSpecial(id);
  if (is_special && !Contains(rules_.kept_special_ids, id)) return;
  const size_t from = out.size();
  if (rules_.join.kind == Kind::kByteLevel) {
    characters_.Push(bytes, out);
    StripStart(from, out);
  } else if (vocabulary_.IsByteFallback(id)) {
    if (rules_.join.leading_space == LeadingSpace::kStripFirstToken) at_start_ = false;
    run_.Push(bytes.front(), out);
    StripStart(from, out);
  } else {
    run_.End(out);
    StripStart(from, out);
    PushText(bytes, is_special, out);
  }
}

void IncrementalDecoder::PushText(std::string_view text, bool is_special, std::string& out) {
  const size_t from = out.size();
  if (at_start_ && rules_.join.leading_space == LeadingSpace::kStripFirstToken) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    at_start_ = false;
  }
  if (at_start_ && rules_.join.leading_space == LeadingSpace::kStripEachToken && !is_special && text.starts_with(' ')) {
    text.remove_prefix(1);
  }
  characters_.Push(text, out);
  characters_.Flush(out);  // a token of this kind is whole characters
  StripStart(from, out);
}

// out[from, end) was added: if it is the start of the text, that start is over.
void IncrementalDecoder::StripStart(size_t from, std::string& out) {
  if (!at_start_ || from == out.size()) return;
  at_start_ = false;
  if (rules_.join.leading_space == LeadingSpace::kStripOne && out[from] == ' ') out.erase(from, 1);
}

void IncrementalDecoder::Flush(std::string& out) {
  const size_t from = out.size();
  characters_.Flush(out);
  run_.End(out);
  StripStart(from, out);
}

bool ContinuesText(const Vocabulary& vocabulary, const DecoderRules& join, std::span<const int32_t> prompt) {
  const DecodingRules rules{.join = join};
  IncrementalDecoder decoder(vocabulary, rules);
  std::string text;
  for (size_t i = 0; i < prompt.size() && decoder.at_start(); ++i) {
    text.clear();
    decoder.Push(prompt[i], text);
  }
  decoder.Flush(text);
  return !decoder.at_start();
}

}  // namespace swiftlet
