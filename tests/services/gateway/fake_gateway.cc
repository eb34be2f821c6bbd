// The HTTP front on a script, by hand: fake_gateway PORT NUM_TOKENS PAUSE_US. For clients and load tools.
#include <cstdio>
#include <string>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "services/common/health.h"
#include "services/gateway/api_keys.h"
#include "services/gateway/http_routes.h"
#include "services/gateway/http_server.h"
#include "services/gateway/io_threads.h"
#include "services/gateway/openai_api.h"
#include "tests/services/gateway/fake_generator.h"

int main(int argc, char** argv) {
  using namespace swiftlet;
  int values[3] = {8000, 16, 1000};
  for (int i = 1; i < argc && i <= 3; ++i) {
    if (!absl::SimpleAtoi(argv[i], &values[i - 1])) return 2;
  }
  FakeGenerator generator([&](const ValidRequest& request) {
    FakeScript script;
    const int num_choices = request.num_choices;
    for (int i = 0; i < values[1]; ++i) {
      std::vector<ChoiceDelta> step;
      for (int choice = 0; choice < num_choices; ++choice) {
        step.push_back(i < values[1] / 4 && request.split_reasoning ? ReasoningDelta(absl::StrCat("r", i, " "))
                                                                    : TextDelta(absl::StrCat("你\"", i, "\n")));
        step.back().choice = choice;
        if (i + 1 == values[1]) step.back().finish_reason = v1::FINISH_REASON_STOP;
      }
      script.steps.push_back(std::move(step));
    }
    script.pause = std::chrono::microseconds(values[2]);
    script.usage.set_prompt_tokens(3);
    script.usage.set_completion_tokens(values[1]);
    return script;
  });
  IoThreads io(2);
  Health health;
  health.Set(HealthState::kServing);
  const ApiKeys keys({});
  OpenAiApi api(generator, {});
  HttpRoutes routes(api, keys, health);
  HttpServerOptions options;
  options.port = static_cast<uint16_t>(values[0]);
  auto server = HttpServer::Start(options, io, routes);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", std::string(server.status().message()).c_str());
    return 1;
  }
  std::printf("listening on %d; end the input to stop\n", (*server)->port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  const bool drained = (*server)->Drain(std::chrono::seconds(5));
  std::printf("drained %d\n", drained);
  return 0;
}
