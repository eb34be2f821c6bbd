// grammar_bench MODEL_DIRECTORY: what a grammar costs over the vocabulary of a model. For schemas, any JSON object and
// calls of tools: the time to compile, then a document is fed token by token, and the mask of every step is filled once
// for the first time and once more. Times are of this thread's CPU, so that neighbours on the machine cost less
// accuracy.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/grammar/compile_grammar.h"
#include "engine/grammar/matcher.h"
#include "services/text/encode/tokenizer_loader.h"

namespace swiftlet {
namespace {

struct Case {
  const char* name;
  GrammarSpec spec;
  std::string document;
};

std::vector<Case> Cases() {
  const auto schema = [](const char* text) { return GrammarSpec{GrammarSpec::Kind::kJsonSchema, text, ""}; };
  return {
      {"any object",
       {},
       R"({"name": "Ada Lovelace", "born": 1815, "works": ["Notes", {"on": "the Analytical Engine"}], "rate": -1.5e3})"},
      {"extraction, 4 properties",
       schema(
           R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
         "email":{"type":"string","pattern":"^[\\w.+-]+@[\\w-]+\\.[\\w.]+$"},"tags":{"type":"array","items":{"type":"string"},"maxItems":8}},
         "required":["name","age"],"additionalProperties":false})"),
       R"({"name": "Ada Lovelace", "age": 36, "email": "ada@example.org", "tags": ["mathematics", "poetry", "machines"]})"},
      {"invoice, definitions and dates", schema(R"({"title":"Invoice","type":"object","$defs":{
         "Address":{"type":"object","properties":{"street":{"type":"string","maxLength":80},"city":{"type":"string"},
           "country":{"enum":["NO","SE","DK","FI","DE","FR","GB","US"]},"zip":{"type":"string","pattern":"^[0-9]{4,5}$"}},
           "required":["street","city","country"],"additionalProperties":false},
         "Item":{"type":"object","properties":{"sku":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"},
           "text":{"type":"string","minLength":1,"maxLength":200},"count":{"type":"integer","minimum":1,"maximum":10000},
           "price":{"type":"number","minimum":0},"vat":{"anyOf":[{"type":"number"},{"type":"null"}],"default":null}},
           "required":["sku","text","count","price"],"additionalProperties":false}},
         "properties":{"id":{"type":"string","format":"uuid"},"date":{"type":"string","format":"date"},
           "due":{"anyOf":[{"type":"string","format":"date"},{"type":"null"}]},"seller":{"$ref":"#/$defs/Address"},
           "buyer":{"$ref":"#/$defs/Address"},"items":{"type":"array","items":{"$ref":"#/$defs/Item"},"minItems":1},
           "currency":{"enum":["NOK","EUR","USD"]},"paid":{"type":"boolean"},"notes":{"type":["string","null"]}},
         "required":["id","date","seller","buyer","items","currency"],"additionalProperties":false})"),
       "{\n  \"id\": \"123e4567-e89b-12d3-a456-426614174000\",\n  \"date\": \"2026-11-23\",\n  \"seller\": {\n    "
       "\"street\": "
       "\"Karl Johans gate 1\",\n    \"city\": \"Oslo\",\n    \"country\": \"NO\",\n    \"zip\": \"0154\"\n  },\n  "
       "\"buyer\": {\n"
       "    \"street\": \"Storgata 7\",\n    \"city\": \"Troms\xC3\xB8\",\n    \"country\": \"NO\"\n  },\n  \"items\": "
       "[\n    {\n"
       "      \"sku\": \"ABC-1234\",\n      \"text\": \"Two kilograms of coffee, whole beans\",\n      \"count\": 2,\n "
       "     \"price\": "
       "149.5,\n      \"vat\": null\n    }\n  ],\n  \"currency\": \"NOK\",\n  \"paid\": true\n}"},
      {"user interface, recursive",
       schema(
           R"({"$ref":"#/$defs/node","$defs":{"node":{"anyOf":[{"$ref":"#/$defs/box"},{"$ref":"#/$defs/text"},{"$ref":"#/$defs/button"}]},
         "box":{"type":"object","properties":{"kind":{"const":"box"},"direction":{"enum":["row","column"]},"padding":{"type":"integer","minimum":0,"maximum":64},
           "children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["kind","children"],"additionalProperties":false},
         "text":{"type":"object","properties":{"kind":{"const":"text"},"value":{"type":"string"},"style":{"type":"object","additionalProperties":{"type":"string"}}},
           "required":["kind","value"],"additionalProperties":false},
         "button":{"type":"object","properties":{"kind":{"const":"button"},"label":{"type":"string","maxLength":40},"action":{"type":"string"}},
           "required":["kind","label","action"],"additionalProperties":false}}})"),
       R"({"kind":"box","direction":"row","children":[{"kind":"text","value":"Hello, world","style":{"color":"red","weight":"bold"}},)"
       R"({"kind":"box","children":[{"kind":"button","label":"Press here","action":"submit"}]}]})"},
      {"text with calls of 2 tools",
       {.kind = GrammarSpec::Kind::kTools,
        .text = "",
        .tools = {.tools = {{"weather",
                             R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer",
          "minimum":1,"maximum":14}},"required":["city"]})"},
                            {"now", ""}},
                  .begin = "<tool_call>\n",
                  .end = "\n</tool_call>",
                  .separator = "\n"}},
       "I will look that up.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 3}}\n"
       "</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"}};
}

double CpuMicroseconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

template <typename Action>
double Timed(const Action& action) {
  const double begin = CpuMicroseconds();
  action();
  return CpuMicroseconds() - begin;
}

double Quantile(std::vector<double> values, double quantile) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(quantile * static_cast<double>(values.size() - 1))];
}

bool Measure(const Case& one, const Tokenizer& tokenizer, const std::shared_ptr<const GrammarVocabulary>& vocabulary) {
  std::vector<double> compile, first, cached, accept;
  std::shared_ptr<const Grammar> grammar;
  for (int i = 0; i < 50; ++i) {
    absl::Status status;
    compile.push_back(Timed([&] {
      auto compiled = CompileGrammar(one.spec);
      status = compiled.status();
      if (compiled.ok()) grammar = *std::move(compiled);
    }));
    if (!status.ok()) {
      std::fprintf(stderr, "grammar_bench: %s: %s\n", one.name, status.ToString().c_str());
      return false;
    }
  }
  const TextSegment segment{.text = one.document, .allow_special = false};
  const auto ids = tokenizer.Encode({&segment, 1}, {});
  if (!ids.ok()) return false;
  const auto tokens = std::make_shared<TokenGrammar>(grammar, vocabulary, GrammarLimits{});
  std::vector<uint64_t> mask(vocabulary->mask_words());
  for (std::vector<double>* times : {&first, &cached}) {
    Matcher matcher(tokens);
    for (const int32_t id : *ids) {
      bool taken = false;
      times->push_back(Timed([&] { taken = matcher.FillMask(mask); }));
      accept.push_back(Timed([&] { taken = taken && matcher.Accept(id); }));
      if (!taken) {
        std::fprintf(stderr, "grammar_bench: %s: token %d does not fit\n", one.name, id);
        return false;
      }
    }
    if (!matcher.CanEnd()) return false;
  }
  std::printf(
      "%-32s compile %7.0f us, %5zu nodes; %3zu tokens: first mask %5.0f median %5.0f p90 %5.0f max, "
      "again %4.1f median %4.1f max, accept %4.1f median us; %zu KiB kept\n",
      one.name, Quantile(compile, 0.5), grammar->num_nodes(), ids->size(), Quantile(first, 0.5), Quantile(first, 0.9),
      Quantile(first, 1), Quantile(cached, 0.5), Quantile(cached, 1), Quantile(accept, 0.5), tokens->bytes() >> 10);
  return true;
}

int Run(const std::string& directory) {
  const auto tokenizer = LoadTokenizer(directory);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "grammar_bench: %s\n", tokenizer.status().ToString().c_str());
    return 1;
  }
  std::vector<std::string> bytes;
  for (int32_t id = 0; id < (*tokenizer)->vocab_size(); ++id) {
    const TokenEntry token = (*tokenizer)->vocabulary().Token(id);
    bytes.emplace_back(token.is_special ? std::string_view() : token.bytes);
  }
  const size_t width = (bytes.size() + 255) / 256 * 256;
  std::shared_ptr<const GrammarVocabulary> vocabulary;
  const double build_us = Timed([&] {
    vocabulary = *GrammarVocabulary::Create(std::move(bytes), width, {(*tokenizer)->special_ids().eos.value_or(0)});
  });
  std::printf("vocabulary of %zu: %.0f ms to build, %zu nodes, %zu MiB\n", width, build_us * 1e-3,
              vocabulary->all().nodes().size(), vocabulary->size_bytes() >> 20);
  for (const Case& one : Cases()) {
    if (!Measure(one, **tokenizer, vocabulary)) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: grammar_bench MODEL_DIRECTORY\n");
    return 2;
  }
  return swiftlet::Run(argv[1]);
}
