#include "services/common/trace_context.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <vector>

#include "engine/base/string_view.h"
#include "services/common/split_mix.h"

namespace swiftlet {
namespace {

constexpr size_t kHeaderLength = 55;  // 00-<32>-<16>-<2>
constexpr size_t kMaxStateBytes = 512;
constexpr size_t kLongMemberBytes = 128;
constexpr size_t kMaxMembers = 32;

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != text.npos;
}

bool IsKeyCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' || c == '/';
}

// `digit_first`: it may begin with one.
bool IsKeyPart(absl::string_view part, size_t max_bytes, bool digit_first) {
  if (part.empty() || part.size() > max_bytes) return false;
  const bool begins = (part[0] >= 'a' && part[0] <= 'z') || (digit_first && absl::ascii_isdigit(part[0]));
  return begins && std::all_of(part.begin(), part.end(), IsKeyCharacter);
}

// A simple key, or tenant@system.
bool IsKey(absl::string_view key) {
  const size_t at = key.find('@');
  if (at == key.npos) return IsKeyPart(key, 256, false);
  return IsKeyPart(key.substr(0, at), 241, true) && IsKeyPart(key.substr(at + 1), 14, false);
}

bool IsValue(absl::string_view value) {
  if (value.empty() || value.size() > 256 || value.back() == ' ') return false;
  return std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; });
}

size_t JoinedBytes(const std::vector<absl::string_view>& members) {
  size_t bytes = members.empty() ? 0 : members.size() - 1;
  for (const absl::string_view member : members) bytes += member.size();
  return bytes;
}

}  // namespace

std::optional<TraceParent> ParseTraceParent(std::string_view header) {
  if (header.size() < kHeaderLength) return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  const std::string_view trace_id = header.substr(3, 32);
  const std::string_view span_id = header.substr(36, 16);
  const std::string_view flags = header.substr(53, 2);
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  if (!IsHex(version) || version == "ff" || !IsId(trace_id) || !IsId(span_id) || !IsHex(flags)) return std::nullopt;
  if (header.size() > kHeaderLength && (version == "00" || header[kHeaderLength] != '-')) return std::nullopt;
  const char last = flags[1];
  const int low = last <= '9' ? last - '0' : last - 'a' + 10;
  return TraceParent{std::string(trace_id), std::string(span_id), (low & 1) != 0};
}

std::string TraceParentText(const TraceParent& parent) {
  return absl::StrCat("00-", parent.trace_id, "-", parent.span_id, parent.sampled ? "-01" : "-00");
}

std::string CleanTraceState(std::string_view header) {
  std::vector<absl::string_view> members;
  std::vector<absl::string_view> keys;
  for (absl::string_view member : absl::StrSplit(ToAbsl(header), ',')) {
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!member.empty() && is_blank(member.front())) member.remove_prefix(1);
    while (!member.empty() && is_blank(member.back())) member.remove_suffix(1);
    if (member.empty()) continue;
    const size_t equals = member.find('=');
    if (equals == member.npos || members.size() == kMaxMembers) return "";
    const absl::string_view key = member.substr(0, equals);
    if (!IsKey(key) || !IsValue(member.substr(equals + 1))) return "";
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) return "";
    keys.push_back(key);
    members.push_back(member);
  }
  while (JoinedBytes(members) > kMaxStateBytes) {
    auto longest = std::find_if(members.begin(), members.end(),
                                [](absl::string_view member) { return member.size() > kLongMemberBytes; });
    members.erase(longest != members.end() ? longest : members.end() - 1);
  }
  return absl::StrJoin(members, ",");
}

std::string SpanContext::TraceParentOf(std::string_view span_id) const {
  return TraceParentText({trace_id, std::string(span_id), sampled});
}

std::string SpanIds::Next() {
  uint64_t id = 0;
  while (id == 0) id = SplitMix64(next_++);
  return absl::StrCat(absl::Hex(id, absl::kZeroPad16));
}

SpanContext ContinueTrace(std::string_view traceparent, std::string_view tracestate, double sample_ratio,
                          const std::function<uint64_t()>& random) {
  SpanContext context;
  context.span_id = SpanIds(random()).Next();
  if (std::optional<TraceParent> parent = ParseTraceParent(traceparent)) {
    context.trace_id = std::move(parent->trace_id);
    context.parent_id = std::move(parent->span_id);
    context.sampled = parent->sampled;
    context.state = CleanTraceState(tracestate);
    return context;
  }
  context.trace_id = absl::StrCat(SpanIds(random()).Next(), SpanIds(random()).Next());
  // 53 bits, as many as a double holds: from 0 up to, and never, 1.
  context.sampled = static_cast<double>(random() >> 11) * 0x1p-53 < sample_ratio;
  return context;
}

}  // namespace swiftlet
