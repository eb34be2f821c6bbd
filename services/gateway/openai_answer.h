// One answer of an OpenAI route, streamed or whole, made of one generation for each prompt of the request. Shared by
// the sinks of those generations and by the exchange's "abandoned" callback; everything happens on the exchange's
// executor, the home of the generations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "services/gateway/generation.h"
#include "services/gateway/generation_sink.h"
#include "services/gateway/http_exchange.h"
#include "services/gateway/openai_render.h"

namespace swiftlet {

struct AnswerOptions {
  AnswerHead head;
  bool stream = false;
  bool include_usage = false;
  int32_t choices_per_generation = 1;
};

class OpenAiAnswer : public std::enable_shared_from_this<OpenAiAnswer> {
 public:
  OpenAiAnswer(AnswerOptions options, std::shared_ptr<HttpExchange> exchange);

  // Starts one generation for each of `requests`, all on the exchange's executor. Once.
  void Start(Generator& generator, std::vector<ValidRequest> requests);

 private:
  class Sink;

  void OnStart();
  void OnDeltas(std::vector<ChoiceDelta> deltas, int32_t first_choice);
  void OnEnd(const absl::Status& status, const v1::Usage& usage);
  void Fail(const absl::Status& status);
  void Finish();
  void Abandon();

  const AnswerOptions options_;
  const ChunkRenderer renderer_;
  std::shared_ptr<HttpExchange> exchange_;                  // null once answered or abandoned
  std::vector<std::shared_ptr<GenerationHandle>> handles_;  // likewise empty
  size_t num_running_ = 0;                                  // generations that have not ended
  bool head_sent_ = false;
  std::vector<bool> opened_;          // streamed: the choice's first chunk was written
  std::vector<WholeChoice> choices_;  // whole: what gathered so far
  v1::Usage usage_;                   // sum over the generations that ended
  std::string events_;                // scratch
};

}  // namespace swiftlet
