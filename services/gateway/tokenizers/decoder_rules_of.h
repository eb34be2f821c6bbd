// The decoder rules that a tokenizer sends, as services/text/decode takes them. Pure; any thread.
#pragma once

#include <optional>

#include "services/text/decode/decoder_rules.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

// Nothing for rules that are missing or of a newer tokenizer: text must not be guessed.
std::optional<DecoderRules> DecoderRulesOf(const v1::DecoderRules& proto);

}  // namespace swiftlet
