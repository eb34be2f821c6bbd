#include "engine/model/model_config.h"

#include <absl/strings/str_replace.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace swiftlet {
namespace {

using testing::HasSubstr;

constexpr char kQwen2[] = R"({"architectures":["Qwen2ForCausalLM"],"hidden_act":"silu","hidden_size":1536,
  "intermediate_size":8960,"max_position_embeddings":131072,"max_window_layers":21,"num_attention_heads":12,
  "num_hidden_layers":28,"num_key_value_heads":2,"rms_norm_eps":1e-06,"rope_theta":10000,"sliding_window":4096,
  "tie_word_embeddings":false,"use_sliding_window":false,"vocab_size":151936})";

std::string With(const std::string& from, const std::string& to) {
  const std::string changed = absl::StrReplaceAll(kQwen2, {{from, to}});
  EXPECT_NE(changed, kQwen2) << from;
  return changed;
}

std::string WithKey(const std::string& key) {
  return With("{\"arch", "{" + key + ",\"arch");
}

ModelConfig Good(const std::string& text) {
  const auto config = ParseModelConfig(text);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(ModelConfig());
}

void ExpectError(const std::string& text, absl::StatusCode code, const std::string& part) {
  const auto config = ParseModelConfig(text);
  EXPECT_EQ(config.status().code(), code) << text << config.status();
  EXPECT_THAT(std::string(config.status().message()), HasSubstr(part)) << text;
}

TEST(ModelConfig, Qwen2) {
  const ModelConfig config = Good(kQwen2);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.max_position, 131072);  // the window is not in use
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias || config.mlp_bias || config.qk_norm || config.tied_head || config.rope.llama3);
}

TEST(ModelConfig, FamiliesDifferAsTheirArchitectureSays) {
  const ModelConfig qwen3 = Good(With("Qwen2", "Qwen3"));
  EXPECT_TRUE(qwen3.qk_norm && !qwen3.qkv_bias);
  EXPECT_TRUE(Good(WithKey(R"("attention_bias":true)")).qkv_bias);
  const std::string llama = With("Qwen2", "Llama");
  EXPECT_FALSE(Good(llama).qkv_bias);
  const ModelConfig biased =
      Good(absl::StrReplaceAll(llama, {{"{\"arch", R"({"attention_bias":true,"mlp_bias":true,"arch)"}}));
  EXPECT_TRUE(biased.qkv_bias && biased.output_bias && biased.mlp_bias);
}

TEST(ModelConfig, WindowInUseCutsThePositions) {
  EXPECT_EQ(Good(With("\"use_sliding_window\":false", "\"use_sliding_window\":true")).max_position, 4096);
  const std::string mistral = With("Qwen2", "Mistral");
  EXPECT_EQ(Good(mistral).max_position, 4096);
  EXPECT_EQ(Good(absl::StrReplaceAll(mistral, {{"\"sliding_window\":4096", "\"sliding_window\":null"}})).max_position,
            131072);
  // Mistral's default, when the key is not there at all, is a window of 4,096.
  EXPECT_EQ(Good(absl::StrReplaceAll(mistral, {{"\"sliding_window\":4096,", ""}})).max_position, 4096);
}

TEST(ModelConfig, Llama3RopeInBothSpellings) {
  const std::string scaling =
      R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192)";
  const ModelConfig old_form = Good(WithKey(R"("rope_scaling":{"rope_type":"llama3",)" + scaling + "}"));
  EXPECT_TRUE(old_form.rope.llama3);
  EXPECT_EQ(old_form.rope.theta, 10000);
  const ModelConfig new_form =
      Good(WithKey(R"("rope_parameters":{"rope_theta":500000.0,"rope_type":"llama3",)" + scaling + "}"));
  EXPECT_TRUE(new_form.rope.llama3);
  EXPECT_EQ(new_form.rope.theta, 500000);
  EXPECT_EQ(new_form.rope.original_max_position, 8192);
  EXPECT_FALSE(Good(WithKey(R"("rope_scaling":null)")).rope.llama3);
  EXPECT_EQ(Good(WithKey(R"("rope_parameters":{"rope_theta":7,"rope_type":"default"})")).rope.theta, 7);
}

TEST(ModelConfig, WhatIsNotServedIsNamed) {
  const auto unimplemented = absl::StatusCode::kUnimplemented;
  ExpectError(With("Qwen2ForCausalLM", "GPT2LMHeadModel"), unimplemented, "GPT2LMHeadModel");
  ExpectError(With("Qwen2ForCausalLM", "GPT2LMHeadModel"), unimplemented, "Qwen2ForCausalLM");
  ExpectError(WithKey(R"("rope_scaling":{"type":"yarn","factor":4})"), unimplemented, "yarn");
  ExpectError(WithKey(R"("quantization_config":{"quant_method":"awq"})"), unimplemented, "awq");
  ExpectError(With("silu", "gelu"), unimplemented, "gelu");
  ExpectError(WithKey(R"("head_dim":40)"), unimplemented, "40");
  ExpectError(WithKey(R"("partial_rotary_factor":0.5)"), unimplemented, "partial_rotary_factor");
}

TEST(ModelConfig, EveryNumberHasLimits) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  for (const char* value : {"0", "-1", "1e9", "1.5", "\"8\"", "true", "9223372036854775807", "[]"}) {
    for (const char* key : {"hidden_size", "num_attention_heads", "num_hidden_layers", "num_key_value_heads",
                            "vocab_size", "intermediate_size", "max_position_embeddings"}) {
      const std::string name = std::string("\"") + key + "\":";
      const std::string text = kQwen2;
      const size_t at = text.find(name);
      const size_t end = text.find_first_of(",}", at);
      ExpectError(text.substr(0, at) + name + value + text.substr(end), invalid, key);
    }
  }
  ExpectError(With("\"num_key_value_heads\":2", "\"num_key_value_heads\":5"), invalid, "divisor");
  ExpectError(With("1e-06", "-1"), invalid, "rms_norm_eps");
  ExpectError(With("1e-06", "\"nan\""), invalid, "rms_norm_eps");
  ExpectError(With("\"rope_theta\":10000", "\"rope_theta\":0"), invalid, "rope_theta");
  ExpectError(With("\"vocab_size\":151936", "\"x\":1"), invalid, "\"vocab_size\" is missing");
  ExpectError(With("[\"Qwen2ForCausalLM\"]", "[]"), invalid, "architectures");
  ExpectError("[1]", invalid, "object");
  ExpectError("{", invalid, "invalid JSON");
}

}  // namespace
}  // namespace swiftlet
