// Logs: one line an event to stderr, text or JSON, written by a thread of spdlog's own, so that a caller never waits
// for a disk. Before Logging exists and after it is gone, lines go nowhere.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace swiftlet {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One key and value of a line. `quoted`: JSON writes it as a string.
struct LogField {
  LogField(std::string_view key, std::string_view value) : key(key), value(value) {}
  LogField(std::string_view key, const std::string& value) : key(key), value(value) {}
  LogField(std::string_view key, const char* value) : key(key), value(value) {}
  LogField(std::string_view key, bool value) : key(key), value(value ? "true" : "false"), quoted(false) {}
  template <std::integral T>
  LogField(std::string_view key, T value) : key(key), value(absl::StrCat(value)), quoted(false) {}
  LogField(std::string_view key, double value);

  std::string_view key;  // a literal, snake_case
  std::string value;
  bool quoted = true;
};

// Any thread; never blocks (the oldest waiting line is lost when 8,192 wait). Values may have any bytes: log_text.h.
void Log(LogLevel level, std::string_view message, std::span<const LogField> fields);
inline void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(level, message, std::span<const LogField>(fields.begin(), fields.size()));
}
inline void LogDebug(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

struct LogOptions {
  std::string process = {};     // "gateway", in every line
  std::string level = "info";   // debug, info, warning, error
  std::string format = "text";  // text, json
};

// Installs spdlog's default logger for the life of the object; owned by main. The destructor writes what waits.
class Logging {
 public:
  static absl::StatusOr<std::unique_ptr<Logging>> Start(const LogOptions& options);
  ~Logging();
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;

 private:
  Logging() = default;
};

// Lines lost so far because the queue was full. Any thread, while Logging lives.
uint64_t LogLinesLost();

}  // namespace swiftlet
