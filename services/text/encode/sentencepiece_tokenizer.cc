#include "services/text/encode/sentencepiece_tokenizer.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <string>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/text/encode/digest.h"
#include "services/text/encode/limits.h"
#include "services/text/encode/segments.h"
#include "services/text/encode/sentencepiece_proto.h"
#include "services/text/encode/token_decoder.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {
namespace {

using Type = SentencePieceProto::Type;

constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // U+2581

absl::StatusOr<std::unique_ptr<SentencePieceModel>> LoadModel(std::string_view serialized) {
  std::string error;
  std::unique_ptr<SentencePieceModel> model = SentencePieceModel::Load(serialized, &error);
  if (model == nullptr) return absl::InvalidArgumentError(absl::StrCat("not a sentencepiece model: ", error));
  return model;
}

absl::Status EncodeWith(const SentencePieceModel& model, std::string_view text, std::vector<int32_t>& ids) {
  std::string error;
  if (!model.Encode(text, &ids, &error)) return absl::InternalError(absl::StrCat("sentencepiece: ", error));
  return absl::OkStatus();
}

TokenVocabulary MakeVocabulary(const SentencePieceProto& proto, const SentencePieceModel& model) {
  using LeadingSpace = JoinRules::LeadingSpace;
  const LeadingSpace leading_space = proto.remove_extra_whitespaces ? LeadingSpace::kStripEachToken
                                     : proto.add_dummy_prefix       ? LeadingSpace::kStripOne
                                                                    : LeadingSpace::kKeep;
  TokenVocabulary vocabulary({JoinRules::Kind::kMetaspace, leading_space});
  vocabulary.Reserve(proto.pieces.size(), 8 * proto.pieces.size());
  for (size_t id = 0; id < proto.pieces.size(); ++id) {
    const SentencePieceProto::Piece& piece = proto.pieces[id];
    std::string bytes(piece.text);
    TokenEntry entry;
    const int byte = piece.type == Type::kByte ? ByteOfFallbackToken(piece.text) : -1;
    if (piece.type == Type::kControl) {
      entry.is_special = true;
    } else if (piece.type == Type::kUnknown) {
      bytes = model.UnknownSurface();
      entry.is_special = true;
    } else if (byte >= 0) {
      bytes.assign(1, static_cast<char>(byte));
      entry.is_byte_fallback = true;
    } else {
      absl::StrReplaceAll({{ToAbsl(kMetaspace), " "}}, &bytes);
    }
    entry.bytes = bytes;
    vocabulary.Set(static_cast<int32_t>(id), entry);
  }
  return vocabulary;
}

AddedTokenMatcher MatcherOf(const std::vector<AddedToken>& tokens) {
  std::vector<std::string> contents;
  for (const AddedToken& token : tokens) contents.push_back(token.content);
  return AddedTokenMatcher(tokens, contents);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseSentencePieceModel(std::string_view serialized,
                                                                   const TokenizerConfig& config) {
  ASSIGN_OR_RETURN(const SentencePieceProto proto, SentencePieceProto::Parse(serialized));
  if (proto.pieces.size() > static_cast<size_t>(kMaxTokenId)) {
    return absl::InvalidArgumentError(absl::StrCat(proto.pieces.size(), " pieces; at most ", kMaxTokenId));
  }
  std::vector<AddedToken> control;
  std::vector<AddedToken> user_defined;
  std::string plain(serialized);
  for (size_t id = 0; id < proto.pieces.size(); ++id) {
    const SentencePieceProto::Piece& piece = proto.pieces[id];
    if (!IsValidUtf8(piece.text) || piece.text.size() > kMaxAddedTokenBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("piece ", id, ": not valid UTF-8, or over ", kMaxAddedTokenBytes, " bytes"));
    }
    AddedToken token{.id = static_cast<int32_t>(id), .content = std::string(piece.text), .special = true};
    if (piece.type == Type::kControl || piece.type == Type::kUnknown) {
      control.push_back(std::move(token));
    } else if (piece.type == Type::kUserDefined) {
      token.special = false;
      if (!IsMarkup(token)) continue;
      user_defined.push_back(std::move(token));
      plain[piece.type_at] = static_cast<char>(Type::kUnused);
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<SentencePieceModel> model, LoadModel(serialized));
  std::unique_ptr<SentencePieceModel> plain_model;
  if (!user_defined.empty()) {
    ASSIGN_OR_RETURN(plain_model, LoadModel(plain));
  }

  TokenizerFacts facts;
  facts.vocabulary = MakeVocabulary(proto, *model);
  for (const AddedToken& token : config.added_tokens) {
    if (token.content.empty()) continue;
    const bool is_piece = static_cast<size_t>(token.id) < proto.pieces.size();
    if (is_piece && proto.pieces[static_cast<size_t>(token.id)].text != token.content) {
      return absl::InvalidArgumentError(
          absl::StrCat("tokenizer_config.json: added_tokens_decoder.", token.id, ": \"", token.content,
                       "\" is piece \"", ToAbsl(proto.pieces[static_cast<size_t>(token.id)].text), "\" in the model"));
    }
    if (!is_piece) facts.vocabulary.Set(token.id, {.bytes = token.content, .is_special = token.special});
    if (is_piece && token.special) facts.vocabulary.MarkSpecial(token.id);
    control.push_back(token);
  }
  facts.special_ids = FindSpecialIds(config, [&](std::string_view text) -> std::optional<int32_t> {
    for (const std::vector<AddedToken>& tokens : {control, user_defined}) {
      for (const AddedToken& token : tokens) {
        if (token.content == text) return token.id;
      }
    }
    return std::nullopt;
  });
  const auto fill = [](std::optional<int32_t>& id, int32_t own) {
    if (!id.has_value() && own >= 0) id = own;
  };
  fill(facts.special_ids.bos, model->bos_id());
  fill(facts.special_ids.eos, model->eos_id());
  fill(facts.special_ids.pad, model->pad_id());
  fill(facts.special_ids.unk, model->unk_id());
  facts.hash = ShortSha256(serialized);
  SentencePieceTokenizer::Parts parts{std::move(model),
                                      std::move(plain_model),
                                      MatcherOf(control),
                                      MatcherOf(user_defined),
                                      config.add_bos_token ? facts.special_ids.bos : std::nullopt,
                                      config.add_eos_token ? facts.special_ids.eos : std::nullopt};
  return std::make_unique<SentencePieceTokenizer>(std::move(facts), std::move(parts));
}

SentencePieceTokenizer::SentencePieceTokenizer(TokenizerFacts facts, Parts parts)
    : Tokenizer(std::move(facts)), parts_(std::move(parts)) {}

absl::StatusOr<std::vector<int32_t>> SentencePieceTokenizer::Encode(absl::Span<const TextSegment> segments,
                                                                    const EncodeOptions& options) const {
  ASSIGN_OR_RETURN(const JoinedText joined, JoinedText::Join(segments));
  std::vector<int32_t> ids;
  if (options.add_special_tokens && parts_.id_before.has_value()) ids.push_back(*parts_.id_before);
  std::vector<AddedTokenSplit> splits;
  parts_.control_matcher.Split(joined.text(), joined.authors(), splits);
  for (const AddedTokenSplit& split : splits) {
    if (split.id >= 0) {
      ids.push_back(split.id);
      continue;
    }
    RETURN_IF_ERROR(EncodeStretch(joined.text().substr(split.begin, split.end - split.begin),
                                  SliceAuthors(joined.authors(), split.begin, split.end), ids));
  }
  if (options.add_special_tokens && parts_.id_after.has_value()) ids.push_back(*parts_.id_after);
  return ids;
}

absl::Status SentencePieceTokenizer::EncodeStretch(std::string_view text, absl::Span<const Authorship> authors,
                                                   std::vector<int32_t>& ids) const {
  if (parts_.plain_model == nullptr || !HasUserText(authors)) return EncodeWith(*parts_.model, text, ids);
  std::vector<AddedTokenSplit> splits;
  parts_.user_defined_matcher.Split(text, authors, splits);
  for (const AddedTokenSplit& split : splits) {
    if (split.id >= 0) {
      ids.push_back(split.id);
    } else {
      RETURN_IF_ERROR(EncodeWith(*parts_.plain_model, text.substr(split.begin, split.end - split.begin), ids));
    }
  }
  return absl::OkStatus();
}

}  // namespace swiftlet
