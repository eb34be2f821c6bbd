#include "tools/swiftlet/bench/report_json.h"

#include <absl/strings/str_cat.h>

#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "services/common/build_info.h"
#include "tools/swiftlet/bench/warnings.h"
#include "tools/swiftlet/client/terminal_text.h"

namespace swiftlet::bench {
namespace {

using boost::json::array;
using boost::json::object;

object TimesOf(const Histogram& times) {
  object json;
  json["count"] = times.count();
  json["mean_ms"] = times.mean_ns() * 1e-6;
  for (const double percent : kPercentiles) json[absl::StrCat("p", percent, "_ms")] = times.PercentileMs(percent);
  json["max_ms"] = static_cast<double>(times.max_ns()) * 1e-6;
  return json;
}

object Origin(const Options& options, const Machine& machine, const std::string& server) {
  object json;
  json["command"] = options.command;
  json["version"] = BuildVersion();
  json["server"] = server;
  json["time_utc"] = machine.time_utc;
  json["machine"] = object{{"cpu", machine.cpu},
                           {"cores", machine.cores},
                           {"load_average", machine.load_average},
                           {"system", machine.system}};
  json["url"] = absl::StrCat(options.target.tls ? "https://" : "http://", options.target.authority());
  json["route"] = RouteName(options.endpoint);
  json["model"] = options.model;
  json["prompts"] = options.token_ids ? "ids" : "text";
  json["input_tokens"] = options.input_tokens.ToString();
  json["output_tokens"] = options.output_tokens.ToString();
  json["dataset"] = TerminalText(options.dataset_path);  // UTF-8, whatever the path is
  json["seed"] = options.seed;
  json["goodput_limits"] = options.goodput.ToString();
  json["percentile_error"] = 0.0005;
  return json;
}

object Figures(const Options& options, const RunResult& result) {
  const Measurements& measured = result.measured;
  object json;
  json["loop"] = result.rate > 0 ? "open" : "closed";
  json["rate"] = result.rate;
  if (result.rate > 0) {
    json["burstiness"] = options.arrivals.burstiness;
    json["burst"] = options.arrivals.burst;
  }
  json["concurrency"] = result.concurrency;
  json["completed"] = measured.completed;
  json["failed"] = measured.failed();
  json["refused"] = measured.refused;
  json["interrupted"] = result.interrupted;
  json["cut_off"] = measured.cut_off;
  json["wall_s"] = result.wall_s;
  json["requests_per_s"] = result.PerSecond(measured.completed);
  json["prompt_tokens_total"] = measured.prompt_tokens;
  json["cached_tokens_total"] = measured.cached_tokens;
  json["output_tokens_total"] = measured.completion_tokens;
  json["output_tokens_per_s"] = result.PerSecond(measured.completion_tokens);
  json["events_total"] = measured.events;
  if (options.has_goodput) {
    json["good"] = measured.good;
    json["good_share"] = result.GoodShare();
    json["goodput_requests_per_s"] = result.PerSecond(measured.good);
  }
  json["client_cpu_share"] = result.client.cpu_share;
  json["client_threads"] = result.client.threads;
  json["client_busiest_thread_share"] = result.client.busiest_thread_share;
  json["client_waited_share"] = result.client.most_waited_share;
  array warnings;
  for (const std::string& line : Warnings(options, result)) warnings.emplace_back(line);
  json["warnings"] = std::move(warnings);
  for (const TimeKind& kind : kTimeKinds) json[kind.key] = TimesOf(measured.*kind.member);
  object failures;
  for (const auto& [code, found] : measured.failures)
    failures[code] = object{{"count", found.count}, {"example", found.example}};
  json["failures"] = std::move(failures);
  return json;
}

}  // namespace

std::string JsonReport(const Options& options, const std::vector<RunResult>& results, const Machine& machine,
                       const std::string& server) {
  object json = Origin(options, machine, server);
  if (options.sweep.values.empty()) {
    const object figures = results.empty() ? object() : Figures(options, results.front());
    for (const auto& member : figures) json[member.key()] = member.value();
  } else {
    array points;
    for (const RunResult& result : results) points.push_back(Figures(options, result));
    json["points"] = std::move(points);
  }
  return boost::json::serialize(json);
}

}  // namespace swiftlet::bench
