#include "tests/services/gateway/toy_tokenizer.h"

#include <utility>

#include "tests/services/gateway/toy_model.h"

namespace swiftlet {

class ToyTokenizers::Client : public TokenizerClient {
 public:
  Client(ToyTokenizers& tokenizers, std::string address) : tokenizers_(tokenizers), address_(std::move(address)) {}

  void GetInfo(int64_t, Callback<v1::GetInfoResponse> done) override {
    v1::GetInfoResponse info;
    *info.add_models() = toy::Tokenized();
    info.mutable_models(0)->set_tool_format(tokenizers_.tool_format);
    Answer(std::move(info), std::move(done));
  }
  void GetVocabulary(const std::string&, int64_t, Callback<std::shared_ptr<const Vocabulary>> done) override {
    Answer(toy::MakeVocabulary(), std::move(done));
  }
  void Encode(v1::EncodeRequest request, Callback<EncodedPrompt> done) override {
    ++process().encodes;
    std::string text = request.prompt().text();
    for (const v1::ChatMessage& message : request.chat().messages()) text += message.content();
    Answer(EncodedPrompt{toy::EncodeBytes(text), request.has_chat() && tokenizers_.starts_in_reasoning},
           std::move(done));
  }
  void CancelEncode(uint64_t) override { ++process().cancelled; }

 private:
  Process& process() { return tokenizers_.processes[address_]; }

  template <typename T>
  void Answer(T value, Callback<T> done) {
    tokenizers_.clock_.At(process().delay_us,
                          [&process = process(), value = std::move(value), done = std::move(done)]() mutable {
                            if (!process.up) return done(absl::UnavailableError("tokenizer is down"));
                            done(std::move(value));
                          });
  }

  ToyTokenizers& tokenizers_;
  const std::string address_;
};

std::unique_ptr<TokenizerClient> ToyTokenizers::Connect(const std::string& address) {
  return std::make_unique<Client>(*this, address);
}

}  // namespace swiftlet
