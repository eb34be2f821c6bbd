#include "services/gateway/model_directory.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <set>
#include <utility>

#include "services/gateway/tokenizers/decoder_rules_of.h"

namespace swiftlet {
namespace {

bool Fits(const v1::TokenizedModel& tokenizer, const v1::ModelInfo& worker) {
  return tokenizer.name() == worker.name() && tokenizer.tokenizer_hash() == worker.tokenizer_hash() &&
         tokenizer.template_hash() == worker.template_hash() && worker.logits_width() >= tokenizer.vocabulary_size();
}

std::string Misfit(const v1::TokenizedModel& tokenizer, const std::vector<v1::ModelInfo>& workers) {
  for (const v1::ModelInfo& worker : workers) {
    if (worker.name() != tokenizer.name()) continue;
    if (worker.tokenizer_hash() != tokenizer.tokenizer_hash()) {
      return absl::StrCat("tokenizer hash ", tokenizer.tokenizer_hash(), " at the tokenizer, ", worker.tokenizer_hash(),
                          " at a worker");
    }
    if (worker.template_hash() != tokenizer.template_hash()) {
      return absl::StrCat("chat template hash ", tokenizer.template_hash(), " at the tokenizer, ",
                          worker.template_hash(), " at a worker");
    }
    return absl::StrCat("the tokenizer knows ", tokenizer.vocabulary_size(), " ids, a worker's logits are ",
                        worker.logits_width(), " wide");
  }
  return "no worker serves it";
}

}  // namespace

void ModelDirectory::SetTokenizers(std::vector<TokenizerView> tokenizers) {
  tokenizers_ = std::move(tokenizers);
  Rebuild();
}

void ModelDirectory::SetWorkers(std::vector<v1::ModelInfo> routable) {
  workers_ = std::move(routable);
  Rebuild();
}

DirectoryEntry ModelDirectory::Join(const std::string& name) const {
  DirectoryEntry entry;
  entry.name = name;
  const TokenizerView* best = nullptr;
  int64_t best_workers = -1;
  for (const TokenizerView& view : tokenizers_) {
    if (view.model.name() != name) continue;
    const int64_t fitting = std::count_if(workers_.begin(), workers_.end(),
                                          [&](const v1::ModelInfo& worker) { return Fits(view.model, worker); });
    // Of tokenizers that fit as many workers, one whose vocabulary is there.
    const bool better = fitting > best_workers ||
                        (fitting == best_workers && best->vocabulary == nullptr && view.vocabulary != nullptr);
    if (!better) continue;
    best = &view;
    best_workers = fitting;
  }
  if (best == nullptr) {
    entry.problem = "no tokenizer serves it";
    return entry;
  }
  entry.tokenizer = best->model;
  entry.vocabulary = best->vocabulary;
  const std::optional<DecoderRules> join = DecoderRulesOf(best->model.decoder());
  entry.join = join.value_or(DecoderRules{});
  for (const v1::ModelInfo& worker : workers_) {
    if (!Fits(best->model, worker)) continue;
    // Workers with other logits are another model under the same name; the first one met decides.
    if (entry.logits_width == 0) entry.logits_width = worker.logits_width();
    if (worker.logits_width() != entry.logits_width) continue;
    entry.max_model_len = std::max(entry.max_model_len, worker.max_model_len());
  }
  if (best_workers == 0) {
    entry.problem = Misfit(best->model, workers_);
  } else if (!join.has_value()) {
    entry.problem = "its tokenizer joins tokens to text by rules that this gateway does not know";
  } else if (entry.vocabulary == nullptr) {
    entry.problem = "its vocabulary is being fetched";
  } else {
    entry.ready = true;
  }
  return entry;
}

void ModelDirectory::Rebuild() {
  std::shared_ptr<const Table> old;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    old = table_;
  }
  std::set<std::string> names;
  for (const TokenizerView& view : tokenizers_) names.insert(view.model.name());
  for (const v1::ModelInfo& worker : workers_) names.insert(worker.name());
  // A model that was served stays known while its processes are away: UNAVAILABLE is true then, NOT_FOUND is not.
  for (const auto& [name, entry] : *old) names.insert(name);
  auto table = std::make_shared<Table>();
  for (const std::string& name : names) {
    DirectoryEntry entry = Join(name);
    const auto before = old->find(name);
    if (before == old->end()) {
      entry.created_unix_s = std::time(nullptr);
    } else {
      entry.created_unix_s = before->second->created_unix_s;
      if (entry.max_model_len == 0) entry.max_model_len = before->second->max_model_len;
    }
    table->emplace(name, std::make_shared<DirectoryEntry>(std::move(entry)));
  }
  std::lock_guard<std::mutex> lock(mutex_);
  table_ = std::move(table);
}

std::shared_ptr<const DirectoryEntry> ModelDirectory::Find(std::string_view name) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = table_->find(name);
  return found == table_->end() ? nullptr : found->second;
}

std::vector<Generator::ServedModel> ModelDirectory::List() const {
  std::shared_ptr<const Table> table;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    table = table_;
  }
  std::vector<Generator::ServedModel> models;
  for (const auto& [name, entry] : *table) {
    models.push_back({name, entry->max_model_len, entry->created_unix_s, entry->ready});
  }
  return models;
}

}  // namespace swiftlet
