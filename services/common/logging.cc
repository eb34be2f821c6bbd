#include "services/common/logging.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_format.h>
#include <spdlog/async.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <ctime>

namespace swiftlet {
namespace {

// A line on its way to the sink's formatter: message, then kUnit key kQuoted|kBare value for each field.
constexpr char kUnit = '\x1e';
constexpr char kQuoted = '\x1d';
constexpr char kBare = '\x1c';
constexpr size_t kQueueLines = 8192;

void AppendClean(std::string& line, std::string_view text) {
  for (const char c : text) line += c == kUnit || c == kQuoted || c == kBare ? ' ' : c;
}

// Escapes for JSON strings; in text lines the same keeps a value from forging a line.
template <typename Buffer>
void AppendEscaped(Buffer& out, absl::string_view text, bool json) {
  for (const char c : text) {
    absl::string_view piece(&c, 1);
    char code[8];
    if (c == '\n') {
      piece = "\\n";
    } else if (c == '\r') {
      piece = "\\r";
    } else if (c == '\t') {
      piece = "\\t";
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::SNPrintF(code, sizeof(code), "\\u%04x", static_cast<unsigned char>(c));
      piece = code;
    } else if (json && (c == '"' || c == '\\')) {
      piece = c == '"' ? "\\\"" : "\\\\";
    }
    out.append(piece.data(), piece.data() + piece.size());
  }
}

template <typename Buffer>
void Append(Buffer& out, absl::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

class LineFormatter : public spdlog::formatter {
 public:
  LineFormatter(std::string process, bool json) : process_(std::move(process)), json_(json) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const absl::string_view payload(message.payload.data(), message.payload.size());
    size_t end = payload.find(kUnit);
    const absl::string_view text = payload.substr(0, end);
    const auto level = spdlog::level::to_string_view(message.level);
    const absl::string_view level_name(level.data(), level.size());
    const std::string time = Time(message.time);
    if (json_) {
      Append(out, absl::StrCat(R"({"time":")", time, R"(","level":")", level_name, R"(","process":")", process_,
                               R"(","message":")"));
      AppendEscaped(out, text, true);
      Append(out, "\"");
    } else {
      Append(out, absl::StrCat(time, " ", level_name, " ", process_, ": "));
      AppendEscaped(out, text, false);
    }
    while (end != absl::string_view::npos) {
      const size_t begin = end + 1;
      end = payload.find(kUnit, begin);
      AppendField(payload.substr(begin, end == absl::string_view::npos ? end : end - begin), out);
    }
    Append(out, json_ ? "}\n" : "\n");
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<LineFormatter>(process_, json_); }

 private:
  void AppendField(absl::string_view field, spdlog::memory_buf_t& out) const {
    const size_t split = field.find_first_of(absl::string_view("\x1d\x1c"));
    if (split == absl::string_view::npos) return;
    const bool quoted = field[split] == kQuoted;
    const absl::string_view key = field.substr(0, split);
    const absl::string_view value = field.substr(split + 1);
    if (json_) {
      Append(out, absl::StrCat(",\"", key, quoted ? "\":\"" : "\":"));
      AppendEscaped(out, value, true);
      if (quoted) Append(out, "\"");
      return;
    }
    const bool spaced = value.empty() || value.find(' ') != absl::string_view::npos;
    Append(out, absl::StrCat(" ", key, spaced ? "=\"" : "="));
    AppendEscaped(out, value, spaced);
    if (spaced) Append(out, "\"");
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

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
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

}  // namespace swiftlet
