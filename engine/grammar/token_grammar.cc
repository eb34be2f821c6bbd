#include "engine/grammar/token_grammar.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace swiftlet {

TokenGrammar::TokenGrammar(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const GrammarVocabulary> vocabulary,
                           const GrammarLimits& limits)
    : grammar_(std::move(grammar)),
      vocabulary_(std::move(vocabulary)),
      limits_(limits),
      table_(std::make_shared<StateTable>(grammar_)),
      places_(vocabulary_->all().max_depth() + 1) {
  CountBytes();
}

void TokenGrammar::CountBytes() {
  const size_t mask_bytes = vocabulary_->mask_words() * sizeof(uint64_t) + 64;
  bytes_.store(sizeof(*this) + grammar_->bytes() + table_->bytes() + masks_.size() * mask_bytes,
               std::memory_order_relaxed);
}

void TokenGrammar::LimitTable() {
  if (table_->bytes() <= limits_.max_state_bytes) return;
  table_ = std::make_shared<StateTable>(grammar_);
  masks_.clear();
  CountBytes();
}

bool TokenGrammar::FillMask(State state, std::span<uint64_t> words) {
  CHECK(words.size() == vocabulary_->mask_words()) << words.size();
  const absl::StatusOr<Mask> mask = FindMask(state);
  if (mask.ok()) std::copy((*mask)->begin(), (*mask)->end(), words.begin());
  return mask.ok();
}

absl::StatusOr<TokenGrammar::Mask> TokenGrammar::FindMask(State state) {
  if (const auto found = masks_.find(state); found != masks_.end()) return found->second;
  std::vector<uint64_t> words(vocabulary_->mask_words());
  absl::StatusOr<Mask> mask = Mask();
  if (absl::Status status = ComputeMask(state, words); status.ok()) {
    mask = std::make_shared<const std::vector<uint64_t>>(std::move(words));
  } else {
    mask = std::move(status);
  }
  if ((masks_.size() + 1) * vocabulary_->mask_words() * sizeof(uint64_t) > limits_.max_mask_bytes) masks_.clear();
  masks_.insert_or_assign(state, mask);
  CountBytes();
  return mask;
}

absl::Status TokenGrammar::ComputeMask(State state, std::span<uint64_t> words) {
  // Inside a string all plain tokens are allowed that are not too long for it.
  const uint32_t plain_characters = table_->PlainCharacters(state);
  if (plain_characters > 0) {
    std::copy(vocabulary_->plain_mask().begin(), vocabulary_->plain_mask().end(), words.begin());
    for (const GrammarVocabulary::PlainToken& token : vocabulary_->plain_tokens()) {
      if (token.characters <= plain_characters) break;
      words[token.id / 64] &= ~(uint64_t{1} << (token.id % 64));
    }
  }
  if (state == StateTable::kDead) return absl::InternalError("the text has left its grammar");
  if (!Walk(plain_characters > 0 ? vocabulary_->not_plain() : vocabulary_->all(), state, words)) {
    return absl::InvalidArgumentError(absl::StrCat("the grammar is too ambiguous: what may come next takes over ",
                                                   limits_.max_walk_bytes, " bytes or ", limits_.max_walk_places,
                                                   " steps to find"));
  }
  if (table_->CanEnd(state)) {
    for (const int32_t id : vocabulary_->end_ids()) words[id / 64] |= uint64_t{1} << (id % 64);
  }
  if (std::any_of(words.begin(), words.end(), [](uint64_t word) { return word != 0; })) return absl::OkStatus();
  return absl::InternalError("the grammar allows no token here");
}

bool TokenGrammar::Walk(const TokenTree& tree, State state, std::span<uint64_t> words) {
  const uint64_t max_places = table_->places_visited() + limits_.max_walk_places;
  const TokenTree::Node* const nodes = tree.nodes().data();
  const int32_t* const tokens = tree.tokens().data();
  uint64_t* const bits = words.data();
  Place* const places = places_.data();
  places[0] = {table_->Row(state), state};
  for (const TokenTree::Node* node = nodes; node->depth != 0;) {
    const Place& before = places[node->depth - 1];
    const State next = before.row[node->byte];
    if (next == StateTable::kDead) {
      node = nodes + node->end;
      continue;
    }
    // Most nodes end one token or none, and which of the two no branch predictor knows: the first one is set or not
    // without a branch, and tokens() has one to spare for the last nodes.
    const uint32_t first = node->first_token;
    const uint32_t last = node[1].first_token;
    bits[static_cast<uint32_t>(tokens[first]) / 64] |= uint64_t{first != last} << (tokens[first] % 64);
    for (uint32_t i = first + 1; i < last; ++i) {
      bits[static_cast<uint32_t>(tokens[i]) / 64] |= uint64_t{1} << (tokens[i] % 64);
    }
    if (next == before.state) {
      places[node->depth] = before;
    } else if (node[1].depth > node->depth) {
      places[node->depth] = {table_->Row(next), next};
      if (table_->bytes() > limits_.max_walk_bytes || table_->places_visited() > max_places) return false;
    }
    ++node;
  }
  return true;
}

}  // namespace swiftlet
