#include "services/gateway/tokenizers/decoder_rules_of.h"

namespace swiftlet {

std::optional<DecoderRules> DecoderRulesOf(const v1::DecoderRules& proto) {
  DecoderRules rules;
  switch (proto.kind()) {
    case v1::DecoderRules::KIND_BYTE_LEVEL:
      rules.kind = DecoderRules::Kind::kByteLevel;
      break;
    case v1::DecoderRules::KIND_METASPACE:
      rules.kind = DecoderRules::Kind::kMetaspace;
      break;
    default:
      return std::nullopt;
  }
  switch (proto.leading_space()) {
    case v1::DecoderRules::LEADING_SPACE_KEEP:
      rules.leading_space = DecoderRules::LeadingSpace::kKeep;
      break;
    case v1::DecoderRules::LEADING_SPACE_STRIP_ONE:
      rules.leading_space = DecoderRules::LeadingSpace::kStripOne;
      break;
    case v1::DecoderRules::LEADING_SPACE_STRIP_FIRST_TOKEN:
      rules.leading_space = DecoderRules::LeadingSpace::kStripFirstToken;
      break;
    case v1::DecoderRules::LEADING_SPACE_STRIP_EACH_TOKEN:
      rules.leading_space = DecoderRules::LeadingSpace::kStripEachToken;
      break;
    default:
      return std::nullopt;
  }
  return rules;
}

}  // namespace swiftlet
