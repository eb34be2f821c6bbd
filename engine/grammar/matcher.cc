#include "engine/grammar/matcher.h"

#include <string_view>
#include <utility>

namespace swiftlet {

Matcher::Matcher(std::shared_ptr<TokenGrammar> grammar) : grammar_(std::move(grammar)), table_(grammar_->table()) {}

void Matcher::Synchronize() {
  grammar_->LimitTable();
  if (table_ == grammar_->table()) return;
  state_ = grammar_->table()->Import(*table_, state_);
  table_ = grammar_->table();
}

bool Matcher::Accept(int32_t id) {
  Synchronize();
  if (has_ended_) return false;
  if (grammar_->vocabulary().IsEnd(id)) {
    has_ended_ = table_->CanEnd(state_);
    return has_ended_;
  }
  const std::string_view text = grammar_->vocabulary().token(id);
  StateTable::State state = text.empty() ? StateTable::kDead : state_;
  for (const char c : text) {
    state = table_->Row(state)[static_cast<uint8_t>(c)];
    if (state == StateTable::kDead) break;
  }
  if (state == StateTable::kDead) return false;
  state_ = state;
  return true;
}

bool Matcher::FillMask(std::span<uint64_t> words) {
  Synchronize();
  const bool found = !has_ended_ && grammar_->FillMask(state_, words);
  Synchronize();
  return found;
}

absl::StatusOr<TokenGrammar::Mask> Matcher::FindMask() {
  Synchronize();
  if (has_ended_) return absl::InternalError("the text has ended");
  absl::StatusOr<TokenGrammar::Mask> mask = grammar_->FindMask(state_);
  Synchronize();
  return mask;
}

bool Matcher::CanEnd() {
  Synchronize();
  return !has_ended_ && table_->CanEnd(state_);
}

}  // namespace swiftlet
