#include "services/text/encode/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>

#include "engine/base/check.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {
namespace {

int OptionsOf(UnicodeForm::Form form) {
  switch (form) {
    case UnicodeForm::Form::kNfc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    case UnicodeForm::Form::kNfd:
      return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case UnicodeForm::Form::kNfkc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case UnicodeForm::Form::kNfkd:
      return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return 0;
}

struct Range {
  char32_t first;
  char32_t last;
};

// Marks and composed characters of Unicode 10 to 15 that Hugging Face's normalizers do not know (tokenizers 0.23.3
// has the tables of Unicode 9): vocabularies were trained on text where these stayed as they were.
constexpr Range kUnknownToReference[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},
    {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},
    {0x10781, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC},
    {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool IsUnknownToReference(char32_t codepoint) {
  const auto* range = std::lower_bound(std::begin(kUnknownToReference), std::end(kUnknownToReference), codepoint,
                                       [](const Range& a, char32_t b) { return a.last < b; });
  return range != std::end(kUnknownToReference) && range->first <= codepoint;
}

// Appends the full decomposition of `codepoint`.
void Decompose(char32_t codepoint, int options, std::vector<utf8proc_int32_t>& out) {
  if (IsUnknownToReference(codepoint)) {
    out.push_back(static_cast<utf8proc_int32_t>(codepoint));
    return;
  }
  constexpr int kLongest = 18;  // U+FDFA under NFKD
  utf8proc_int32_t buffer[kLongest];
  int boundary_class = UTF8PROC_BOUNDCLASS_START;
  const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(codepoint), buffer, kLongest,
                                                         static_cast<utf8proc_option_t>(options), &boundary_class);
  CHECK(count >= 0 && count <= kLongest) << "U+" << std::hex << static_cast<uint32_t>(codepoint) << ": " << count;
  out.insert(out.end(), buffer, buffer + count);
}

bool IsMark(utf8proc_category_t category) {
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

}  // namespace

UnicodeForm::UnicodeForm(Form form) : form_(form), safe_(kTabulated) {
  const bool composes = form == Form::kNfc || form == Form::kNfkc;
  std::string text;
  std::string normal;
  for (char32_t codepoint = 0; codepoint < kTabulated; ++codepoint) {
    if (codepoint >= 0xD800 && codepoint < 0xE000) continue;
    if (codepoint >= 0x1100 && codepoint < 0x1200) continue;  // Hangul letters compose among themselves
    if (codepoint >= 0xAC00 && codepoint < 0xD7A4) {          // syllables decompose by arithmetic, not by the tables
      safe_[codepoint] = composes;
      continue;
    }
    const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(codepoint));
    // Every character that can compose with the one before it is a mark or a Hangul letter.
    if (property->combining_class != 0 || IsMark(static_cast<utf8proc_category_t>(property->category))) continue;
    if (property->decomp_seqindex != UINT16_MAX) {
      text.clear();
      normal.clear();
      AppendUtf8(codepoint, text);
      Normalize(text, normal);
      if (normal != text) continue;
    }
    safe_[codepoint] = true;
  }
}

size_t UnicodeForm::FirstUnsafe(std::string_view text, size_t from) const {
  size_t at = from;
  while (at < text.size()) {
    // Below U+0300 NFC changes nothing; the other forms keep ASCII.
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const DecodedCharacter character = DecodeUtf8(text.data() + at);
    if (!IsSafe(character.codepoint)) return at;
    at += static_cast<size_t>(character.length);
  }
  return at;
}

void UnicodeForm::Apply(std::string_view text, const std::vector<bool>* trust, std::string& out,
                        std::vector<bool>* out_trust) const {
  const auto copy = [&](size_t begin, size_t end) {
    out.append(text.substr(begin, end - begin));
    if (trust != nullptr) {
      out_trust->insert(out_trust->end(), trust->begin() + static_cast<std::ptrdiff_t>(begin),
                        trust->begin() + static_cast<std::ptrdiff_t>(end));
    }
  };
  size_t done = 0;
  while (done < text.size()) {
    const size_t unsafe = FirstUnsafe(text, done);
    if (unsafe == text.size()) {
      copy(done, unsafe);
      return;
    }
    // A sequence: the character before, which marks may join, to the next safe one.
    const size_t begin = unsafe > done ? PreviousCharacter(text, unsafe) : unsafe;
    size_t end = unsafe;
    do {
      end += static_cast<size_t>(Utf8Length(text[end]));
    } while (end < text.size() && !IsSafe(DecodeUtf8(text.data() + end).codepoint));
    copy(done, begin);
    const size_t before = out.size();
    Normalize(text.substr(begin, end - begin), out);
    if (trust != nullptr) {
      const auto first = trust->begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = trust->begin() + static_cast<std::ptrdiff_t>(end);
      out_trust->insert(out_trust->end(), out.size() - before, std::find(first, last, false) == last);
    }
    done = end;
  }
}

// utf8proc_map would reorder marks by swapping neighbours, which a megabyte of them makes quadratic.
void UnicodeForm::Normalize(std::string_view sequence, std::string& out) const {
  const int options = OptionsOf(form_);
  std::vector<utf8proc_int32_t> codepoints;
  for (size_t at = 0; at < sequence.size();) {
    const DecodedCharacter character = DecodeUtf8(sequence.data() + at);
    Decompose(character.codepoint, options, codepoints);
    at += static_cast<size_t>(character.length);
  }
  const auto combining_class = [](utf8proc_int32_t codepoint) {
    return IsUnknownToReference(static_cast<char32_t>(codepoint)) ? utf8proc_propval_t{0}
                                                                  : utf8proc_get_property(codepoint)->combining_class;
  };
  for (auto begin = codepoints.begin(); begin != codepoints.end();) {
    const auto is_starter = [&](utf8proc_int32_t codepoint) { return combining_class(codepoint) == 0; };
    const auto end = std::find_if(begin, codepoints.end(), is_starter);
    std::stable_sort(begin, end,
                     [&](utf8proc_int32_t a, utf8proc_int32_t b) { return combining_class(a) < combining_class(b); });
    begin = end == codepoints.end() ? end : end + 1;
  }
  auto count = static_cast<utf8proc_ssize_t>(codepoints.size());
  if ((options & UTF8PROC_COMPOSE) != 0) {
    count = utf8proc_normalize_utf32(codepoints.data(), count,
                                     static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    CHECK(count >= 0) << utf8proc_errmsg(count);
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    AppendUtf8(static_cast<char32_t>(codepoints[static_cast<size_t>(i)]), out);
  }
}

}  // namespace swiftlet
