#include "services/common/logging.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <spdlog/async.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <ctime>
#include <string>

#include "services/common/log_text.h"

namespace swiftlet {
namespace {

// A line on its way to the sink's formatter: message, then kUnit key kQuoted|kBare value for each field.
constexpr char kUnit = '\x1e';
constexpr char kQuoted = '\x1d';
constexpr char kBare = '\x1c';
constexpr size_t kQueueLines = 8192;
constexpr size_t kMaxValueBytes = 16 << 10;  // the end of a longer one is left out

void AppendClean(std::string& line, std::string_view text) {
  const std::string_view kept = LogTextPrefix(text, kMaxValueBytes);
  for (const char c : kept) line += c == kUnit || c == kQuoted || c == kBare ? ' ' : c;
  if (kept.size() < text.size()) line += "...";
}

class LineFormatter : public spdlog::formatter {
 public:
  LineFormatter(std::string process, bool json) : process_(std::move(process)), json_(json) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    size_t end = payload.find(kUnit);
    const std::string_view text = payload.substr(0, end);
    const auto level = spdlog::level::to_string_view(message.level);
    const absl::string_view level_name(level.data(), level.size());
    line_.clear();
    if (json_) {
      absl::StrAppend(&line_, R"({"time":")", Time(message.time), R"(","level":")", level_name, R"(","process":")",
                      process_, R"(","message":")");
    } else {
      absl::StrAppend(&line_, Time(message.time), " ", level_name, " ", process_, ": ");
    }
    AppendLogText(line_, text);
    if (json_) line_ += '"';
    while (end != std::string_view::npos) {
      const size_t begin = end + 1;
      end = payload.find(kUnit, begin);
      AppendField(payload.substr(begin, end == std::string_view::npos ? end : end - begin));
    }
    line_ += json_ ? "}\n" : "\n";
    out.append(line_.data(), line_.data() + line_.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<LineFormatter>(process_, json_); }

 private:
  void AppendField(std::string_view field) {
    const size_t split = field.find_first_of("\x1d\x1c");
    if (split == std::string_view::npos) return;
    const std::string_view value = field.substr(split + 1);
    const bool is_text = field[split] == kQuoted;
    const bool quoted = is_text && (json_ || !IsPlainLogText(value));
    line_ += json_ ? ",\"" : " ";
    AppendLogText(line_, field.substr(0, split));
    line_ += json_ ? "\":" : "=";
    if (quoted) line_ += '"';
    AppendLogText(line_, value);
    if (quoted) line_ += '"';
  }

  // 2026-11-23T04:05:06.123456Z
  static std::string Time(spdlog::log_clock::time_point point) {
    const int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(point.time_since_epoch()).count();
    const std::time_t seconds = us / 1'000'000;
    std::tm utc;
    gmtime_r(&seconds, &utc);
    return absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                           utc.tm_hour, utc.tm_min, utc.tm_sec, us % 1'000'000);
  }

  const std::string process_;
  const bool json_;
  std::string line_;  // being made
};

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

LogField::LogField(std::string_view key, double value)
    : key(key), value(absl::StrCat(value)), quoted(!std::isfinite(value)) {}

void Log(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  spdlog::logger* logger = spdlog::default_logger_raw();
  const spdlog::level::level_enum spdlog_level = SpdlogLevel(level);
  // The nameless logger is spdlog's own, from before Logging: it does not know our lines.
  if (logger == nullptr || logger->name().empty() || !logger->should_log(spdlog_level)) return;
  std::string line;
  AppendClean(line, message);
  for (const LogField& field : fields) {
    line += kUnit;
    AppendClean(line, field.key);
    line += field.quoted ? kQuoted : kBare;
    AppendClean(line, field.value);
  }
  logger->log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
}

absl::StatusOr<std::unique_ptr<Logging>> Logging::Start(const LogOptions& options) {
  const spdlog::level::level_enum level = spdlog::level::from_str(options.level);
  if (level == spdlog::level::off) {
    return absl::InvalidArgumentError(absl::StrCat("--log-level: \"", options.level, "\" is not a level"));
  }
  try {
    spdlog::init_thread_pool(kQueueLines, 1);
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto logger = std::make_shared<spdlog::async_logger>(options.process, std::move(sink), spdlog::thread_pool(),
                                                         spdlog::async_overflow_policy::overrun_oldest);
    logger->set_formatter(std::make_unique<LineFormatter>(options.process, options.format == "json"));
    logger->set_level(level);
    spdlog::set_default_logger(std::move(logger));
  } catch (const spdlog::spdlog_ex& error) {
    return absl::InternalError(absl::StrCat("cannot start the log: ", error.what()));
  }
  return std::unique_ptr<Logging>(new Logging);
}

Logging::~Logging() {
  spdlog::shutdown();
}

uint64_t LogLinesLost() {
  const auto pool = spdlog::thread_pool();
  return pool == nullptr ? 0 : pool->overrun_counter();
}

}  // namespace swiftlet
