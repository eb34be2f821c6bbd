#include "tests/services/gateway/toy_model.h"

#include <algorithm>

#include "engine/base/check.h"
#include "services/common/attach_protocol.h"

namespace swiftlet::toy {
namespace {

const std::vector<std::string>& Words() {
  static const std::vector<std::string> words = {" the",   " quick", "brown",        " fox", "\n",       "\n\n", " 42",
                                                 "。",     "你好",   "\xF0\x9F\x91", "\xA8", "\xE4\xBD", "\xA0", "<",
                                                 "/think", ">",      "\n</",         "st",   "op",       "END",  "E",
                                                 "N",      "D",      " é",           "\xFF", "x"};
  return words;
}

uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

std::shared_ptr<const Vocabulary> MakeVocabulary() {
  auto vocabulary = std::make_shared<Vocabulary>();
  const auto append = [&](const std::string& bytes) { CHECK(vocabulary->Append(bytes).ok()) << bytes; };
  for (int byte = 0; byte < 256; ++byte) append(std::string(1, static_cast<char>(byte)));
  append("<|end|>");
  append("<think>");
  append("</think>");
  for (const std::string& word : Words()) append(word);
  CHECK(vocabulary->MarkSpecial(kEos).ok()) << kEos;
  // Without effect under the byte-level rule, but carried over the wire like everything else.
  for (int byte = 0x80; byte < 256; ++byte) CHECK(vocabulary->MarkByteFallback(byte).ok()) << byte;
  return vocabulary;
}

v1::TokenizedModel Tokenized() {
  v1::TokenizedModel model;
  model.set_name(kName);
  model.set_tokenizer_hash("tokenizer-hash");
  model.set_template_hash("template-hash");
  model.set_vocabulary_size(kFirstWord + static_cast<int32_t>(Words().size()));
  model.mutable_decoder()->set_kind(v1::DecoderRules::KIND_BYTE_LEVEL);
  model.mutable_decoder()->set_leading_space(v1::DecoderRules::LEADING_SPACE_KEEP);
  model.mutable_defaults()->set_temperature(0.6F);
  model.mutable_defaults()->set_top_p(0.95F);
  model.add_eos_token_ids(kEos);
  model.set_reasoning_open_tag("<think>");
  model.set_reasoning_close_tag("</think>");
  model.add_reasoning_open_ids(kOpenTag);
  model.add_reasoning_close_ids(kCloseTag);
  model.set_tool_format(v1::TokenizedModel::TOOL_FORMAT_HERMES);
  return model;
}

v1::WorkerHello Hello(const std::string& worker_id) {
  v1::WorkerHello hello;
  hello.mutable_protocol()->set_oldest(attach_protocol::kOldest);
  hello.mutable_protocol()->set_newest(attach_protocol::kNewest);
  hello.set_worker_id(worker_id);
  v1::ModelInfo& model = *hello.mutable_model();
  model.set_name(kName);
  model.set_weights_hash("weights-hash");
  model.set_tokenizer_hash("tokenizer-hash");
  model.set_template_hash("template-hash");
  model.set_logits_width(kLogitsWidth);
  model.set_block_tokens(64);
  model.set_max_model_len(kContext);
  model.set_numerics_fingerprint("toy");
  return hello;
}

std::vector<int32_t> EncodeBytes(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

int32_t NextToken(std::span<const int32_t> prompt, std::span<const int32_t> output, uint64_t seed, int32_t choice) {
  uint64_t hash = Mix(seed + 0x9E3779B97F4A7C15 * static_cast<uint64_t>(choice + 1));
  for (const int32_t id : prompt) hash = Mix(hash ^ static_cast<uint32_t>(id));
  hash = Mix(hash + 1);
  for (const int32_t id : output) hash = Mix(hash ^ static_cast<uint32_t>(id));
  const uint32_t draw = static_cast<uint32_t>(hash % 1000);
  const uint32_t pick = static_cast<uint32_t>(hash >> 32);
  if (draw < 15) return kEos;
  if (draw < 40) return kCloseTag;
  if (draw < 50) return kOpenTag;
  if (draw < 150) return static_cast<int32_t>(pick % 256);
  if (draw < 155) return kLogitsWidth - 1 - static_cast<int32_t>(pick % 8);  // ids the vocabulary does not know
  return kFirstWord + static_cast<int32_t>(pick % Words().size());
}

Continuation Generate(const v1::Submit& submit, int32_t choice) {
  Continuation all;
  const auto& stops = submit.stop().stop_token_ids();
  const std::span<const int32_t> prompt(submit.prompt_ids().data(), static_cast<size_t>(submit.prompt_ids_size()));
  while (all.reason == v1::FINISH_REASON_UNSPECIFIED) {
    const int32_t id = NextToken(prompt, all.ids, submit.sampling().seed(), choice);
    all.ids.push_back(id);
    if (std::find(stops.begin(), stops.end(), id) != stops.end()) {
      all.reason = v1::FINISH_REASON_STOP;
    } else if (static_cast<int32_t>(all.ids.size()) == submit.stop().max_tokens()) {
      all.reason = v1::FINISH_REASON_LENGTH;
    }
  }
  return all;
}

std::vector<v1::AttachResponse> Answers(const v1::Submit& submit, int ids_a_message) {
  std::vector<v1::AttachResponse> messages;
  for (int32_t choice = 0; choice < submit.num_choices(); ++choice) {
    const Continuation all = Generate(submit, choice);
    size_t next = 0;
    for (const v1::ResumedChoice& resumed : submit.resumed()) {
      if (resumed.choice() == choice) next = static_cast<size_t>(resumed.ids_size());
    }
    do {
      v1::SequenceOutput& output = *messages.emplace_back().mutable_step_outputs()->add_outputs();
      output.set_request_id(submit.request_id());
      output.set_choice(choice);
      output.set_epoch(submit.epoch());
      output.set_first_index(static_cast<int32_t>(next));
      for (int i = 0; i < ids_a_message && next < all.ids.size(); ++i) output.add_ids(all.ids[next++]);
      if (next == all.ids.size()) output.set_finish_reason(all.reason);
    } while (next < all.ids.size());
  }
  return messages;
}

}  // namespace swiftlet::toy
