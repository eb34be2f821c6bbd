#include "tests/services/tokenizer/tiny_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace swiftlet::tests {

namespace {

// The printable character that byte-level tokenizers write for a byte.
std::string Letter(int byte) {
  const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  int code = byte;
  if (!printable) {
    code = 256;
    for (int other = 0; other < byte; ++other) {
      if (!((other >= 0x21 && other <= 0x7E) || (other >= 0xA1 && other <= 0xAC) || other >= 0xAE)) ++code;
    }
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

constexpr char kTemplate[] =
    "{% for m in messages %}{{ '<|m|>' + m['role'] + ':' }}{{ m['content'] if m['content'] else '' }}{{ '<|e|>' }}"
    "{% endfor %}{% if messages[0]['role'] == 'tool' %}{{ raise_exception('no tool first') }}{% endif %}"
    "{% if add_generation_prompt %}{{ '<|m|>assistant:' }}{% if think %}{{ '<think>' }}{% endif %}{% endif %}";

}  // namespace

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path) << content;
}

std::string WriteTinyModel(const std::string& name) {
  const std::string directory = testing::TempDir() + "/tokenizer_" + name;
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  boost::json::object vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary[Letter(byte)] = byte;
  boost::json::array added;
  const char* const texts[] = {"<|m|>", "<|e|>", "<think>", "</think>"};
  for (int i = 0; i < 4; ++i) {
    added.push_back(boost::json::object{{"id", 256 + i},
                                        {"content", texts[i]},
                                        {"single_word", false},
                                        {"lstrip", false},
                                        {"rstrip", false},
                                        {"normalized", false},
                                        {"special", i < 2}});
  }
  const boost::json::object byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", true}};
  const boost::json::object tokenizer{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model", boost::json::object{{"type", "BPE"}, {"vocab", vocabulary}, {"merges", boost::json::array()}}}};
  WriteFile(directory + "/tokenizer.json", boost::json::serialize(tokenizer));
  WriteFile(directory + "/tokenizer_config.json",
            boost::json::serialize(boost::json::object{{"eos_token", "<|e|>"}, {"chat_template", kTemplate}}));
  WriteFile(directory + "/generation_config.json",
            R"({"eos_token_id": [257, 259], "temperature": 0.6, "top_p": 0.95})");
  return directory;
}

}  // namespace swiftlet::tests
