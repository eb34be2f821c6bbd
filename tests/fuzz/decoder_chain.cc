// Ids to text, reasoning, stop strings and events: however the ids are cut into calls, the same comes out. Input: how
// (2 bytes), up to three stop strings each with 0xFF behind it, the ids.
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strict_json.h"
#include "services/gateway/http/sse.h"
#include "services/gateway/json_writer.h"
#include "services/text/encode/unicode.h"
#include "tests/fuzz/input.h"
#include "tests/services/text/decode/decoded.h"

namespace swiftlet {
namespace {

constexpr int32_t kFirstByte = 16;  // ids from here: one byte each

const std::shared_ptr<const Vocabulary>& TheVocabulary() {
  static const auto* const shared = [] {
    auto vocabulary = std::make_shared<Vocabulary>();
    for (const char* token : {"<|end|>", "<think>", "</think>", "\n", "a", "b", "ab", "<", "/think>", "think", "你好",
                              "\xE4\xBD", " c", "\n\n", "  ", ">\n"}) {
      CHECK(vocabulary->Append(token).ok());
    }
    for (int byte = 0; byte < 256; ++byte) {
      const char text = static_cast<char>(byte);
      CHECK(vocabulary->Append(std::string_view(&text, 1)).ok());
      CHECK(byte < 0x80 || vocabulary->MarkByteFallback(kFirstByte + byte).ok());
    }
    for (const int32_t id : {0, 2}) CHECK(vocabulary->MarkSpecial(id).ok());
    return new std::shared_ptr<const Vocabulary>(std::move(vocabulary));
  }();
  return *shared;
}

// As an event carries it: one line, and the same text when it is read again.
void CheckEvent(const std::string& text) {
  std::string json;
  AppendJsonString(json, text);
  std::string event;
  sse::AppendEvent(event, json);
  CHECK(event.find_first_of("\r\n") == event.size() - 2) << event;
  const auto read = ParseStrictJson(json);
  CHECK(read.ok() && read->as_string() == text) << json;
}

// In calls of `step` ids.
std::vector<size_t> Steps(size_t size, size_t step) {
  std::vector<size_t> ends;
  for (size_t end = 0; end < size;) ends.push_back(end = std::min(size, end + step));
  return ends;
}

}  // namespace

void fuzz::RunOne(Input input) {
  const uint8_t how = input.Byte();
  const uint8_t join = input.Byte();
  DecodingPlan::Options options;
  if ((how & 1) != 0) options.tags = {"<think>", "</think>"};
  options.starts_in_reasoning = (how & 2) != 0;
  options.stop_in_reasoning = (how & 4) != 0;
  options.keep_stop = (how & 8) != 0;
  if ((how & 16) != 0) options.stop_token_ids = {4};
  for (int i = 0; i < how >> 6; ++i) {
    const std::string_view stop = input.Text();
    if (stop.empty() || stop.size() > 256 || !IsValidUtf8(stop)) return;  // the validator's business
    options.stop.emplace_back(stop);
  }
  options.join = {static_cast<DecoderRules::Kind>(join & 1), static_cast<DecoderRules::LeadingSpace>((join >> 1) & 3)};
  const std::vector<int32_t> prompt((join >> 3) & 1, 4);
  options.prompt_ids = prompt;
  const auto plan = std::make_shared<const DecodingPlan>(TheVocabulary(), options);

  std::vector<int32_t> ids;
  for (const char byte : input.rest().substr(0, 64)) {
    const auto id = static_cast<uint8_t>(byte);
    // The first bytes are words, the others themselves; the last one is no token at all.
    ids.push_back(id == 0xFF ? 100'000 : id < 0x10 ? id : kFirstByte + id);
  }
  std::vector<int32_t> offsets;
  const tests::Decoded whole = tests::Decode(plan, ids, {ids.size()}, &offsets);
  CHECK(IsValidUtf8(whole.reasoning) && IsValidUtf8(whole.text));
  CHECK(whole.counted == offsets.size() && whole.counted <= ids.size());
  const auto check_cut = [&](const std::vector<size_t>& ends) {
    std::vector<int32_t> again;
    CHECK(tests::Decode(plan, ids, ends, &again) == whole && again == offsets)
        << ends.size() << " calls, the first of " << ends[0];
  };
  if (ids.empty()) return;
  for (size_t step = 1; step <= 3; ++step) check_cut(Steps(ids.size(), step));
  for (size_t cut = 1; cut < ids.size(); ++cut) check_cut({cut, ids.size()});
  CheckEvent(whole.reasoning);
  CheckEvent(whole.text);
}

}  // namespace swiftlet
