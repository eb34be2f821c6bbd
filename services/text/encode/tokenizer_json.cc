#include "services/text/encode/tokenizer_json.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "services/text/encode/bpe_tokenizer.h"
#include "services/text/encode/byte_alphabet.h"
#include "services/text/encode/digest.h"
#include "services/text/encode/json_fields.h"
#include "services/text/encode/limits.h"
#include "services/text/encode/token_decoder.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

static_assert(kMaxTokenId < 1 << MergeTable::kIdBits);

std::string_view View(const json::string& text) {
  return {text.data(), text.size()};
}

// model.vocab, keyed as the model looks tokens up.
struct VocabularyTables {
  bool is_keyed_by_bytes = false;
  TokenTable tokens;
  TokenTable unreachable;  // keyed by bytes: tokens with a character outside the byte alphabet, by their text
  std::vector<bool> is_token;

  // The id of a token as model.vocab spells it; `buffer` is overwritten.
  int32_t Find(std::string_view spelling, std::string& buffer) const {
    if (!is_keyed_by_bytes) return tokens.Find(spelling);
    buffer.clear();
    return AppendBytesOfToken(spelling, buffer) ? tokens.Find(buffer) : unreachable.Find(spelling);
  }
};

absl::Status ReadVocabulary(const JsonFields& model, const TokenDecoder& decoder, VocabularyTables& tables,
                            TokenVocabulary& vocabulary) {
  ASSIGN_OR_RETURN(const JsonFields fields, model.Object("vocab"));
  const json::object& vocab = model.Find("vocab")->get_object();
  if (vocab.empty()) return absl::InvalidArgumentError(absl::StrCat(fields.path(), ": no token in it"));
  size_t bytes = 0;
  for (const auto& member : vocab) bytes += member.key().size();
  tables.tokens.Reserve(vocab.size(), bytes);
  vocabulary.Reserve(vocab.size() + vocab.size() / 64 + 64, bytes);
  tables.is_token.reserve(vocab.size());
  const bool same_bytes = tables.is_keyed_by_bytes && decoder.rules().kind == JoinRules::Kind::kByteLevel;
  std::string key_bytes;
  std::string text_bytes;
  for (const auto& member : vocab) {
    const std::string_view spelling(member.key().data(), member.key().size());
    const auto where = [&] { return absl::StrCat(fields.path(), "[\"", ToAbsl(spelling), "\"]"); };
    if (!member.value().is_int64()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where(), ": expected an integer, found ", ToAbsl(JsonKind(member.value()))));
    }
    const int64_t number = member.value().get_int64();
    if (number < 0 || number > kMaxTokenId) {
      return absl::InvalidArgumentError(absl::StrCat(where(), ": id ", number, " is not in [0, ", kMaxTokenId, "]"));
    }
    const auto id = static_cast<int32_t>(number);
    if (static_cast<size_t>(id) >= tables.is_token.size()) tables.is_token.resize(static_cast<size_t>(id) + 1);
    if (tables.is_token[static_cast<size_t>(id)]) {
      return absl::InvalidArgumentError(absl::StrCat(where(), ": id ", id, " is another token's already"));
    }
    tables.is_token[static_cast<size_t>(id)] = true;
    bool is_reachable = true;
    std::string_view key = spelling;
    if (tables.is_keyed_by_bytes) {
      key_bytes.clear();
      is_reachable = AppendBytesOfToken(spelling, key_bytes);
      if (is_reachable) key = key_bytes;
    }
    (is_reachable ? tables.tokens : tables.unreachable).Insert(key, id);  // keys of an object differ, so do these
    if (same_bytes) {
      vocabulary.Set(id, {.bytes = key});
    } else {
      const bool is_byte_fallback = decoder.BytesOf(spelling, text_bytes);
      vocabulary.Set(id, {.bytes = text_bytes, .is_byte_fallback = is_byte_fallback});
    }
  }
  return absl::OkStatus();
}

// Calls `visit(left, right)` for every merge, written as "left right" or ["left", "right"].
template <typename Visit>
absl::Status ForEachMerge(const JsonFields& model, const json::array& merges, Visit visit) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto where = [&] { return absl::StrCat(model.PathOf("merges"), "[", rank, "]"); };
    const json::value& merge = merges[rank];
    if (merge.is_string()) {
      const std::string_view text = View(merge.get_string());
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        return absl::InvalidArgumentError(
            absl::StrCat(where(), ": \"", ToAbsl(text), "\" is not two tokens and one space"));
      }
      RETURN_IF_ERROR(visit(text.substr(0, space), text.substr(space + 1)));
    } else if (merge.is_array() && merge.get_array().size() == 2 && merge.get_array()[0].is_string() &&
               merge.get_array()[1].is_string()) {
      const json::array& pair = merge.get_array();
      RETURN_IF_ERROR(visit(View(pair[0].get_string()), View(pair[1].get_string())));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(where(), ": expected a string or two strings, found ", ToAbsl(JsonKind(merge))));
    }
  }
  return absl::OkStatus();
}

// A token that a merge names, on its way to an id.
struct TokenQuery {
  std::string spelling;  // as model.vocab has it
  std::string key;       // as the table has it
  uint64_t hash = 0;
  bool is_reachable = true;

  void Prepare(const VocabularyTables& tables) {
    key.clear();
    is_reachable = !tables.is_keyed_by_bytes || AppendBytesOfToken(spelling, key);
    if (!tables.is_keyed_by_bytes || !is_reachable) key = spelling;
    hash = HashBytes(key);
    tables.tokens.Prefetch(hash);
  }
  int32_t Find(const VocabularyTables& tables) const {
    return is_reachable ? tables.tokens.Find(key, hash) : tables.unreachable.Find(key, hash);
  }
};

absl::StatusOr<MergeTable> ReadMerges(const JsonFields& model, const VocabularyTables& tables,
                                      std::string_view continuing_subword_prefix, std::vector<bool>& is_merged) {
  ASSIGN_OR_RETURN(const json::array* merges, model.Array("merges"));
  if (merges->size() > MergeTable::kMaxMerges) {
    return absl::InvalidArgumentError(
        absl::StrCat(model.PathOf("merges"), ": ", merges->size(), " merges; at most ", MergeTable::kMaxMerges));
  }
  MergeTable table(merges->size());
  // In batches, so that the cache misses of the look-ups overlap: a third of the load time.
  constexpr size_t kBatch = 32;
  struct Query {
    TokenQuery left, right, joined;
  };
  std::vector<Query> batch(kBatch);
  size_t waiting = 0;
  size_t rank = 0;
  const auto flush = [&]() -> absl::Status {
    for (size_t i = 0; i < waiting; ++i, ++rank) {
      const Query& query = batch[i];
      const int32_t left = query.left.Find(tables);
      const int32_t right = query.right.Find(tables);
      const int32_t joined = query.joined.Find(tables);
      for (const auto& [id, token] :
           {std::pair(left, &query.left), std::pair(right, &query.right), std::pair(joined, &query.joined)}) {
        if (id == TokenTable::kAbsent) {
          return absl::InvalidArgumentError(
              absl::StrCat(model.PathOf("merges"), "[", rank, "]: \"", token->spelling, "\" is not in model.vocab"));
        }
      }
      table.Append(left, right, joined);
      is_merged[static_cast<size_t>(joined)] = true;
    }
    waiting = 0;
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ForEachMerge(model, *merges, [&](std::string_view left, std::string_view right) {
    Query& query = batch[waiting++];
    query.left.spelling = left;
    query.right.spelling = right;
    query.joined.spelling = left;
    query.joined.spelling +=
        right.starts_with(continuing_subword_prefix) ? right.substr(continuing_subword_prefix.size()) : right;
    query.left.Prepare(tables);
    query.right.Prepare(tables);
    query.joined.Prepare(tables);
    return waiting == kBatch ? flush() : absl::OkStatus();
  }));
  RETURN_IF_ERROR(flush());
  return table;
}

absl::StatusOr<BpeModel::Options> ReadModelOptions(const JsonFields& model, bool is_byte_level) {
  BpeModel::Options options;
  ASSIGN_OR_RETURN(const std::string_view type, model.String("type", "BPE"));
  if (type != "BPE") {
    return absl::UnimplementedError(
        absl::StrCat(model.PathOf("type"), ": model \"", ToAbsl(type), "\" is not supported (BPE is)"));
  }
  if (const json::value* dropout = model.Find("dropout"); dropout != nullptr) {
    if (!dropout->is_number() || dropout->to_number<double>() != 0) {
      return absl::UnimplementedError(absl::StrCat(model.PathOf("dropout"), ": only null and 0 are supported"));
    }
  }
  ASSIGN_OR_RETURN(options.ignore_merges, model.Bool("ignore_merges", false));
  ASSIGN_OR_RETURN(options.byte_fallback, model.Bool("byte_fallback", false));
  ASSIGN_OR_RETURN(options.fuse_unk, model.Bool("fuse_unk", false));
  ASSIGN_OR_RETURN(options.continuing_subword_prefix, model.String("continuing_subword_prefix", ""));
  ASSIGN_OR_RETURN(options.end_of_word_suffix, model.String("end_of_word_suffix", ""));
  const bool is_plain =
      !options.byte_fallback && options.continuing_subword_prefix.empty() && options.end_of_word_suffix.empty();
  options.units = !is_byte_level ? BpeModel::Units::kCharacters
                  : is_plain     ? BpeModel::Units::kBytes
                                 : BpeModel::Units::kSpelledBytes;
  return options;
}

// Reads "added_tokens" and enters them into `vocabulary`. A token that model.vocab has keeps the id it has there.
absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(const JsonFields& document, const TokenDecoder& decoder,
                                                        const VocabularyTables& tables, TokenVocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  if (document.Find("added_tokens") == nullptr) return tokens;
  ASSIGN_OR_RETURN(const json::array* entries, document.Array("added_tokens"));
  std::string buffer;
  std::vector<int32_t> owners;  // by id: index into `tokens`, or -1
  for (size_t i = 0; i < entries->size(); ++i) {
    ASSIGN_OR_RETURN(const JsonFields fields,
                     JsonFields::Of((*entries)[i], absl::StrCat(document.PathOf("added_tokens"), "[", i, "]")));
    ASSIGN_OR_RETURN(AddedToken token, ParseAddedToken(fields));
    ASSIGN_OR_RETURN(const int64_t id, fields.Integer("id", 0, kMaxTokenId));
    token.id = static_cast<int32_t>(id);
    if (token.content.empty()) continue;
    const int32_t in_vocab = tables.Find(token.content, buffer);
    if (in_vocab != TokenTable::kAbsent) {
      token.id = in_vocab;
    } else if (static_cast<size_t>(id) < tables.is_token.size() && tables.is_token[static_cast<size_t>(id)]) {
      return absl::InvalidArgumentError(
          absl::StrCat(fields.PathOf("id"), ": ", id, " is the id of another token in model.vocab"));
    }
    const auto at = static_cast<size_t>(token.id);
    if (at >= owners.size()) owners.resize(at + 1, -1);
    if (owners[at] >= 0 && tokens[static_cast<size_t>(owners[at])].content != token.content) {
      return absl::InvalidArgumentError(
          absl::StrCat(fields.PathOf("id"), ": ", token.id, " is the id of another added token"));
    }
    owners[at] = static_cast<int32_t>(tokens.size());
    const bool is_byte_fallback = decoder.BytesOf(token.content, buffer);
    vocabulary.Set(token.id, {.bytes = buffer, .is_special = token.special, .is_byte_fallback = is_byte_fallback});
    tokens.push_back(std::move(token));
  }
  return tokens;
}

absl::StatusOr<AddedTokenMatcher> MatcherOf(const std::vector<AddedToken>& tokens, const Normalizer* normalizer,
                                            bool normalized) {
  std::vector<AddedToken> sought;
  std::vector<std::string> contents;
  RegexScratch scratch;
  for (const AddedToken& token : tokens) {
    if (token.normalized != normalized) continue;
    AuthoredText content;
    content.text = token.content;
    if (normalizer != nullptr) RETURN_IF_ERROR(normalizer->Apply(content, scratch));
    sought.push_back(token);
    contents.push_back(std::move(content.text));
  }
  return AddedTokenMatcher(sought, contents);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view text, const TokenizerConfig& config) {
  ASSIGN_OR_RETURN(const json::value document_value, ParseStrictJson(text));
  ASSIGN_OR_RETURN(const JsonFields document, JsonFields::Of(document_value, ""));
  const json::value absent;
  const auto part = [&](std::string_view key) -> const json::value& {
    const json::value* value = document.Find(key);
    return value == nullptr ? absent : *value;
  };
  ASSIGN_OR_RETURN(Normalizer normalizer, Normalizer::Create(part("normalizer")));
  ASSIGN_OR_RETURN(PreTokenizer pretokenizer, PreTokenizer::Create(part("pre_tokenizer")));
  ASSIGN_OR_RETURN(const TokenDecoder decoder, TokenDecoder::Create(part("decoder")));
  ASSIGN_OR_RETURN(const JsonFields model, document.Object("model"));
  ASSIGN_OR_RETURN(BpeModel::Options options, ReadModelOptions(model, pretokenizer.is_byte_level()));

  TokenizerFacts facts;
  facts.vocabulary = TokenVocabulary(decoder.rules());
  VocabularyTables tables;
  tables.is_keyed_by_bytes = options.units == BpeModel::Units::kBytes;
  RETURN_IF_ERROR(ReadVocabulary(model, decoder, tables, facts.vocabulary));
  std::string buffer;
  ASSIGN_OR_RETURN(const std::string_view unk_token, model.String("unk_token", ""));
  if (!unk_token.empty()) {
    options.unk_id = tables.Find(unk_token, buffer);
    if (options.unk_id == TokenTable::kAbsent) {
      return absl::InvalidArgumentError(
          absl::StrCat(model.PathOf("unk_token"), ": \"", ToAbsl(unk_token), "\" is not in model.vocab"));
    }
  }
  std::vector<bool> is_merged(tables.is_token.size());
  ASSIGN_OR_RETURN(MergeTable merges, ReadMerges(model, tables, options.continuing_subword_prefix, is_merged));
  ASSIGN_OR_RETURN(const std::vector<AddedToken> added, ReadAddedTokens(document, decoder, tables, facts.vocabulary));
  ASSIGN_OR_RETURN(AddedTokenMatcher raw_matcher, MatcherOf(added, nullptr, false));
  ASSIGN_OR_RETURN(AddedTokenMatcher normalized_matcher, MatcherOf(added, &normalizer, true));
  ASSIGN_OR_RETURN(PostProcessor post_processor, ParsePostProcessor(part("post_processor"), facts.vocabulary.size()));

  std::vector<bool> reserved(tables.is_token.size());
  for (const AddedToken& token : added) {
    const auto id = static_cast<size_t>(token.id);
    if (id < reserved.size() && IsMarkup(token)) reserved[id] = is_merged[id] || options.ignore_merges;
  }
  facts.special_ids = FindSpecialIds(config, [&](std::string_view token) -> std::optional<int32_t> {
    for (const AddedToken& candidate : added) {
      if (candidate.content == token) return candidate.id;
    }
    const int32_t id = tables.Find(token, buffer);
    return id == TokenTable::kAbsent ? std::nullopt : std::optional(id);
  });
  facts.hash = ShortSha256(text);
  const auto num_ids = static_cast<size_t>(facts.vocabulary.size());
  auto bpe = std::make_unique<const BpeModel>(std::move(options), std::move(tables.tokens), std::move(merges),
                                              std::move(reserved), num_ids);
  BpeTokenizer::Parts parts{std::move(raw_matcher), std::move(normalized_matcher),
                            std::move(normalizer),  std::move(pretokenizer),
                            std::move(bpe),         std::move(post_processor)};
  return std::make_unique<BpeTokenizer>(std::move(facts), std::move(parts));
}

}  // namespace swiftlet
