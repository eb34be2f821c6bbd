// What has been said in a chat, and how the next answer is to be drawn: the body of the next request follows from it.
// Plain data; one thread.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace swiftlet {

class Conversation {
 public:
  explicit Conversation(std::string model) : model_(std::move(model)) {}

  // Empty: no system message.
  void SetSystem(std::string text) { system_ = std::move(text); }
  const std::string& system() const { return system_; }
  // Forgets what was said; the system message and the settings stay.
  void Reset() { turns_.clear(); }
  size_t turns() const { return turns_.size(); }

  // "temperature 0.2"; "temperature default" takes the model's own again. INVALID_ARGUMENT names the nearest setting or
  // what the value must be; ranges are the server's to check.
  absl::Status Set(std::string_view name, std::string_view value);
  // "temperature 0.2, top_p 0.9"; empty when all is the model's own.
  std::string Settings() const;
  static std::string SettingNames();

  // The request for an answer to `question`, which is not yet part of the conversation.
  std::string RequestBody(std::string_view question) const;
  // Both become part of it; `answer` is without the thinking.
  void Add(std::string question, std::string answer);

 private:
  struct Turn {
    std::string question;
    std::string answer;
  };
  const std::string model_;
  std::string system_;
  std::vector<Turn> turns_;
  std::vector<std::pair<std::string, std::string>> settings_;  // name, JSON value; in the order of their setting
};

}  // namespace swiftlet
