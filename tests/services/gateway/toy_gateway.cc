#include "tests/services/gateway/toy_gateway.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "services/gateway/generation/resolve_request.h"
#include "services/text/decode/choice_decoder.h"

namespace swiftlet {

void RecordingSink::OnStart(const PromptFacts& prompt) {
  EXPECT_EQ(answer_->starts++, 0);
  EXPECT_EQ(answer_->ends, 0);
  answer_->prompt_tokens = static_cast<int32_t>(prompt.ids.size());
}

void RecordingSink::OnDeltas(std::vector<ChoiceDelta> deltas) {
  EXPECT_EQ(answer_->starts, 1);
  EXPECT_EQ(answer_->ends, 0);
  EXPECT_FALSE(deltas.empty());
  for (ChoiceDelta& delta : deltas) {
    ++answer_->deltas;
    if (static_cast<size_t>(delta.choice) >= answer_->choices.size()) answer_->choices.resize(delta.choice + 1);
    Answer::Choice& choice = answer_->choices[delta.choice];
    EXPECT_EQ(choice.reason, v1::FINISH_REASON_UNSPECIFIED) << "a delta after the last of its choice";
    choice.reasoning += delta.reasoning;
    choice.text += delta.text;
    for (ToolCallPiece& piece : delta.tool_calls) {
      if (!piece.name.empty()) {
        EXPECT_EQ(piece.index, static_cast<int32_t>(choice.tool_calls.size()));
        choice.tool_calls.push_back(std::move(piece));
      } else {
        EXPECT_EQ(piece.index, choice.tool_calls.back().index);
        EXPECT_EQ(piece.id, "") << "in its first piece alone";
        choice.tool_calls.back().arguments += piece.arguments;
      }
    }
    choice.num_tokens += delta.num_tokens;
    choice.ids.insert(choice.ids.end(), delta.token_ids.begin(), delta.token_ids.end());
    for (const v1::PositionLogprobs& logprobs : delta.logprobs) {
      choice.logprob_ids.push_back(logprobs.chosen().token_id());
    }
    choice.text_offsets.insert(choice.text_offsets.end(), delta.text_offsets.begin(), delta.text_offsets.end());
    for (const v1::PositionLogprobs& logprobs : delta.prompt_logprobs) {
      EXPECT_EQ(answer_->deltas, 1) << "the answer begins with them";
      answer_->prompt_logprob_ids.push_back(logprobs.chosen().token_id());
    }
    choice.reason = delta.finish_reason;
  }
  if (answer_->on_deltas) answer_->on_deltas();
}

void RecordingSink::OnEnd(const absl::Status& status, const v1::Usage& usage) {
  EXPECT_EQ(answer_->ends++, 0);
  answer_->status = status;
  answer_->usage = usage;
}

ValidRequest TokenRequest(std::vector<int32_t> ids, int32_t max_tokens, uint64_t seed) {
  ValidRequest request;
  request.request_id = "cmpl-test";
  request.model = toy::kName;
  request.input = TokenInput{std::move(ids)};
  request.sampling.set_seed(seed);
  request.stop.set_max_tokens(max_tokens);
  request.return_token_ids = true;
  request.split_reasoning = false;
  return request;
}

ValidRequest ChatRequest(const std::string& text, int32_t max_tokens, uint64_t seed) {
  ValidRequest request = TokenRequest({}, max_tokens, seed);
  ChatInput input;
  input.messages.emplace_back().set_role("user");
  input.messages.back().set_content(text);
  request.input = std::move(input);
  request.split_reasoning = true;
  return request;
}

ValidRequest LongRequest(int32_t num_choices, size_t tokens) {
  for (uint64_t seed = 1;; ++seed) {
    ValidRequest request = ChatRequest("count to ten", 300, seed);
    request.num_choices = num_choices;
    bool fits = true;
    for (int32_t choice = 0; choice < num_choices; ++choice) {
      fits = fits && Golden(request, choice).ids.size() >= tokens;
    }
    if (fits) return request;
  }
}

ToyGateway::ToyGateway(int num_workers, int num_tokenizers, uint64_t seed)
    : workers_wire(clock, seed),
      tokenizers(TokenizerPool::Options{}, io.get_executor(), clock, tokenizers_wire, directory),
      workers(WorkerPool::Options{.link = {.gateway_id = "test"}}, io.get_executor(), clock, workers_wire, directory),
      generator(GenerationParts{clock, directory, tokenizers, workers, admission, observer,
                                [random = std::mt19937_64(seed)]() mutable { return random(); }},
                GenerationOptions{}) {
  std::vector<std::string> worker_addresses;
  for (int i = 0; i < num_workers; ++i) worker_addresses.push_back(WorkerAddress(i));
  std::vector<std::string> tokenizer_addresses;
  for (int i = 0; i < num_tokenizers; ++i) tokenizer_addresses.push_back("tokenizer" + std::to_string(i) + ":8101");
  workers.SetAddresses(worker_addresses);
  tokenizers.SetAddresses(tokenizer_addresses);
  RunFor(100'000);
}

ToyGateway::~ToyGateway() {
  generator.EndAll(absl::UnavailableError("the test is over"));
  io.restart();
  io.poll();
  workers.Stop();
  tokenizers.Stop();
  io.restart();
  io.poll();
}

ToyGateway::Started ToyGateway::Start(ValidRequest request) {
  Started started;
  started.answer = std::make_shared<Answer>();
  started.handle =
      generator.Start(std::move(request), std::make_unique<RecordingSink>(started.answer), io.get_executor());
  EXPECT_EQ(started.answer->starts + started.answer->ends, 0) << "the sink was called from inside Start";
  return started;
}

std::shared_ptr<Answer> ToyGateway::Ask(ValidRequest request) {
  const Started started = Start(std::move(request));
  EXPECT_TRUE(Run([&] { return started.answer->ends > 0; }));
  return started.answer;
}

void ToyGateway::ExpectIdle() {
  RunFor(100'000);
  EXPECT_EQ(generator.active(), 0);
  EXPECT_EQ(workers.counts().outstanding, 0);
  EXPECT_EQ(workers_wire.running(), 0);
  EXPECT_EQ(tokenizers.counts().pending, 0);
  EXPECT_EQ(admission.outstanding().requests, 0);
  EXPECT_EQ(admission.outstanding().tokens, 0);
}

v1::Submit GoldenSubmit(const ValidRequest& request) {
  DirectoryEntry model;
  model.name = toy::kName;
  model.tokenizer = toy::Tokenized();
  model.logits_width = toy::kLogitsWidth;
  model.max_model_len = toy::kContext;
  std::vector<int32_t> ids;
  if (const auto* tokens = std::get_if<TokenInput>(&request.input)) ids = tokens->ids;
  if (const auto* text = std::get_if<TextInput>(&request.input)) ids = toy::EncodeBytes(text->text);
  if (const auto* chat = std::get_if<ChatInput>(&request.input)) {
    for (const v1::ChatMessage& message : chat->messages) {
      for (const int32_t id : toy::EncodeBytes(message.content())) ids.push_back(id);
    }
  }
  absl::StatusOr<v1::Submit> submit = ResolveSubmit(request, model, std::move(ids), 0);
  EXPECT_TRUE(submit.ok()) << submit.status();
  return *std::move(submit);
}

Answer::Choice Golden(const ValidRequest& request, int32_t choice, bool starts_in_reasoning) {
  const v1::Submit submit = GoldenSubmit(request);
  const toy::Continuation all = toy::Generate(submit, choice);
  DirectoryEntry model;
  model.tokenizer = toy::Tokenized();
  const auto plan = std::make_shared<const DecodingPlan>(
      toy::MakeVocabulary(), ResolveDecoding(request, model, submit, {.starts_in_reasoning = starts_in_reasoning}));
  ChoiceDecoder decoder(plan);
  Answer::Choice golden;
  const size_t counted = decoder.Push(all.ids, golden.reasoning, golden.text, &golden.text_offsets);
  golden.ids.assign(all.ids.begin(), all.ids.begin() + static_cast<int64_t>(counted));
  golden.reason = all.reason;
  if (decoder.stopped() || decoder.Finish(golden.reasoning, golden.text)) golden.reason = v1::FINISH_REASON_STOP;
  return golden;
}

void ExpectGolden(const ValidRequest& request, const Answer& answer, bool starts_in_reasoning) {
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  ASSERT_EQ(answer.choices.size(), static_cast<size_t>(request.num_choices));
  int32_t completion_tokens = 0;
  for (int32_t choice = 0; choice < request.num_choices; ++choice) {
    const Answer::Choice golden = Golden(request, choice, starts_in_reasoning);
    EXPECT_EQ(answer.choices[choice].num_tokens, static_cast<int32_t>(golden.ids.size()));
    EXPECT_EQ(answer.choices[choice].ids, request.return_token_ids ? golden.ids : std::vector<int32_t>());
    EXPECT_EQ(answer.choices[choice].reasoning, golden.reasoning);
    EXPECT_EQ(answer.choices[choice].text, golden.text);
    EXPECT_EQ(answer.choices[choice].reason, golden.reason);
    if (request.logprobs > 0) {
      EXPECT_EQ(answer.choices[choice].logprob_ids, golden.ids);
      EXPECT_EQ(answer.choices[choice].text_offsets, golden.text_offsets);
    }
    completion_tokens += static_cast<int32_t>(golden.ids.size());
  }
  if (request.prompt_logprobs > 0) {
    const v1::Submit submit = GoldenSubmit(request);
    EXPECT_EQ(answer.prompt_logprob_ids,
              std::vector<int32_t>(submit.prompt_ids().begin() + 1, submit.prompt_ids().end()));
  }
  EXPECT_EQ(answer.usage.completion_tokens(), completion_tokens);
  EXPECT_EQ(answer.usage.prompt_tokens(), GoldenSubmit(request).prompt_ids_size());
}

bool IsGoldenPrefix(const ValidRequest& request, const Answer& answer, bool starts_in_reasoning) {
  for (size_t choice = 0; choice < answer.choices.size(); ++choice) {
    const Answer::Choice golden = Golden(request, static_cast<int32_t>(choice), starts_in_reasoning);
    const Answer::Choice& seen = answer.choices[choice];
    if (seen.ids.size() > golden.ids.size() || !std::equal(seen.ids.begin(), seen.ids.end(), golden.ids.begin()) ||
        !golden.text.starts_with(seen.text) || !golden.reasoning.starts_with(seen.reasoning)) {
      return false;
    }
  }
  return true;
}

}  // namespace swiftlet
