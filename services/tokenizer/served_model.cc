#include "services/tokenizer/served_model.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/limits.h"
#include "services/common/model_files.h"
#include "services/text/encode/tokenizer_loader.h"
#include "services/tokenizer/generation_defaults.h"

namespace swiftlet {

namespace {

constexpr int32_t kTokensPerSlice = 16384;  // of GetVocabulary: some 200 KB a message

v1::DecoderRules ToProto(const JoinRules& rules) {
  v1::DecoderRules proto;
  switch (rules.kind) {
    case JoinRules::Kind::kByteLevel:
      proto.set_kind(v1::DecoderRules::KIND_BYTE_LEVEL);
      break;
    case JoinRules::Kind::kMetaspace:
      proto.set_kind(v1::DecoderRules::KIND_METASPACE);
      break;
  }
  switch (rules.leading_space) {
    case JoinRules::LeadingSpace::kKeep:
      proto.set_leading_space(v1::DecoderRules::LEADING_SPACE_KEEP);
      break;
    case JoinRules::LeadingSpace::kStripOne:
      proto.set_leading_space(v1::DecoderRules::LEADING_SPACE_STRIP_ONE);
      break;
    case JoinRules::LeadingSpace::kStripFirstToken:
      proto.set_leading_space(v1::DecoderRules::LEADING_SPACE_STRIP_FIRST_TOKEN);
      break;
    case JoinRules::LeadingSpace::kStripEachToken:
      proto.set_leading_space(v1::DecoderRules::LEADING_SPACE_STRIP_EACH_TOKEN);
      break;
  }
  return proto;
}

std::vector<v1::GetVocabularyResponse> VocabularySlices(const TokenVocabulary& vocabulary) {
  std::vector<v1::GetVocabularyResponse> slices;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (id % kTokensPerSlice == 0) slices.emplace_back().set_first_id(id);
    const TokenEntry entry = vocabulary.Token(id);
    slices.back().add_tokens(entry.bytes.data(), entry.bytes.size());
    if (entry.is_special) slices.back().add_special_ids(id);
    if (entry.is_byte_fallback) slices.back().add_byte_fallback_ids(id);
  }
  return slices;
}

std::vector<std::string> SpecialTexts(const TokenVocabulary& vocabulary) {
  std::vector<std::string> texts;
  constexpr size_t kLongestTag = 32;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenEntry entry = vocabulary.Token(id);
    if (entry.bytes.size() >= 2 && entry.bytes.size() <= kLongestTag) texts.emplace_back(entry.bytes);
  }
  return texts;
}

absl::Status CheckName(const std::string& name) {
  if (!name.empty() && name.size() <= 256) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--served-model-name: '", name.substr(0, 40), "': expected 1 to 256 bytes"));
}

}  // namespace

absl::StatusOr<std::vector<ModelSpec>> ParseModelSpecs(const std::vector<std::string>& models,
                                                       const std::vector<std::string>& served_names) {
  if (!served_names.empty() && served_names.size() != models.size()) {
    return absl::InvalidArgumentError(absl::StrCat("--served-model-name: ", served_names.size(), " names for ",
                                                   models.size(), " models: give one for each --model, or none"));
  }
  std::vector<ModelSpec> specs;
  std::set<std::string> names;
  for (size_t i = 0; i < models.size(); ++i) {
    ModelSpec spec;
    const size_t equals = models[i].find('=');
    const bool named = equals != std::string::npos && models[i].find('/') > equals;
    spec.directory = named ? models[i].substr(equals + 1) : models[i];
    while (spec.directory.size() > 1 && spec.directory.back() == '/') spec.directory.pop_back();
    spec.name = !served_names.empty() ? served_names[i]
                : named               ? models[i].substr(0, equals)
                                      : std::filesystem::path(spec.directory).filename().string();
    RETURN_IF_ERROR(CheckName(spec.name));
    if (!names.insert(spec.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("--model: two models are named '", spec.name, "'"));
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

v1::TokenizedModel::ToolFormat ToProto(ToolFormat format) {
  switch (format) {
    case ToolFormat::kNone:
      break;
    case ToolFormat::kHermes:
      return v1::TokenizedModel::TOOL_FORMAT_HERMES;
    case ToolFormat::kLlama3:
      return v1::TokenizedModel::TOOL_FORMAT_LLAMA3;
  }
  return v1::TokenizedModel::TOOL_FORMAT_UNSPECIFIED;
}

absl::StatusOr<ServedModel> LoadServedModel(const ModelSpec& spec) {
  std::error_code error;
  if (!std::filesystem::is_directory(spec.directory, error)) {
    return absl::NotFoundError(absl::StrCat("--model: ", spec.directory, ": expected a model directory"));
  }
  ServedModel model;
  ASSIGN_OR_RETURN(model.tokenizer, LoadTokenizer(spec.directory));
  absl::StatusOr<std::unique_ptr<const ChatTemplate>> chat_template = ChatTemplate::Load(spec.directory);
  if (chat_template.ok()) {
    model.chat_template = *std::move(chat_template);
  } else if (!absl::IsNotFound(chat_template.status())) {
    return chat_template.status();
  }
  ASSIGN_OR_RETURN(const ModelFileHashes hashes, HashModelFiles(spec.directory));
  ASSIGN_OR_RETURN(GenerationConfig generation, ReadGenerationConfig(spec.directory));
  const TokenVocabulary& vocabulary = model.tokenizer->vocabulary();

  v1::TokenizedModel& info = model.info;
  info.set_name(spec.name);
  info.set_tokenizer_hash(hashes.tokenizer);
  info.set_template_hash(hashes.chat_template);
  info.set_vocabulary_size(vocabulary.size());
  *info.mutable_decoder() = ToProto(vocabulary.rules());
  *info.mutable_defaults() = std::move(generation.defaults);
  const SpecialIds& special = model.tokenizer->special_ids();
  if (generation.eos_token_ids.empty() && special.eos.has_value()) generation.eos_token_ids.push_back(*special.eos);
  for (int32_t id : generation.eos_token_ids) info.add_eos_token_ids(id);
  if (special.bos.has_value()) info.set_bos_token_id(*special.bos);
  if (model.chat_template != nullptr) {
    std::optional<TagPair> tags = model.chat_template->reasoning_tags();
    if (!tags.has_value()) tags = DetectReasoningTags("", SpecialTexts(vocabulary));
    if (tags.has_value()) {
      info.set_reasoning_open_tag(tags->open);
      info.set_reasoning_close_tag(tags->close);
      for (const auto& [tag, ids] : {std::pair(&tags->open, info.mutable_reasoning_open_ids()),
                                     std::pair(&tags->close, info.mutable_reasoning_close_ids())}) {
        const TextSegment segment{.text = *tag, .allow_special = true};
        ASSIGN_OR_RETURN(const std::vector<int32_t> encoded, model.tokenizer->Encode({&segment, 1}, {}));
        ids->Add(encoded.begin(), encoded.end());
      }
    }
    info.set_tool_format(ToProto(model.chat_template->tool_format()));
    for (const std::string& name : model.chat_template->Keywords()) info.add_template_variables(name);
  }
  model.vocabulary = VocabularySlices(vocabulary);
  return model;
}

}  // namespace swiftlet
