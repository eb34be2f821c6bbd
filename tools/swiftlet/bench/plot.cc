#include "tools/swiftlet/bench/plot.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_replace.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace swiftlet::bench {
namespace {

constexpr double kPanelWidth = 400;
constexpr double kPanelHeight = 230;
constexpr double kLeft = 70;    // of a panel to its axis
constexpr double kTop = 36;     // of a panel to its plot
constexpr double kBottom = 44;  // below the plot
constexpr double kRight = 16;
constexpr double kHead = 52;  // title and origin
// Told apart by people who see few colours (Okabe and Ito).
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73"};

struct Series {
  std::string name;
  std::vector<double> values = {};  // a value for each point of the sweep
};

struct Panel {
  std::string title;  // with its unit
  std::vector<Series> series = {};
  bool is_share = false;  // 0 to 100
};

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

// 1, 2 or 5 times a power of ten: about `wanted` of them up to `highest`.
double NiceStep(double highest, int wanted) {
  const double rough = highest / wanted;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

// "12", "0.25", "4k", "200k", "1.5M".
std::string Short(double value) {
  if (value >= 1e6) return absl::StrFormat("%gM", value / 1e6);
  if (value >= 1e4) return absl::StrFormat("%gk", value / 1e3);
  return absl::StrFormat("%.4g", value);
}

// Loads over less than a factor of twenty lie evenly, others by their logarithm.
class LoadAxis {
 public:
  explicit LoadAxis(std::vector<double> loads)
      : loads_(std::move(loads)), is_log_(loads_.back() / loads_.front() >= 20) {}

  double At(double load) const {
    const double begin = Measure(is_log_ ? loads_.front() : 0);
    const double share = (Measure(load) - begin) / (Measure(loads_.back()) - begin);
    return kLeft + share * (kPanelWidth - kLeft - kRight);
  }
  // The loads that were measured, as far as their numbers do not touch.
  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    for (const double load : loads_) {
      if (ticks.empty() || At(load) - At(ticks.back()) > 34) ticks.push_back(load);
    }
    return ticks;
  }
  const std::vector<double>& loads() const { return loads_; }
  bool is_log() const { return is_log_; }

 private:
  double Measure(double load) const { return is_log_ ? std::log(load) : load; }

  const std::vector<double> loads_;
  const bool is_log_;
};

void AppendText(std::string* svg, double x, double y, const char* kind, const std::string& text) {
  absl::StrAppendFormat(svg, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, kind, Escaped(text));
}

void AppendLine(std::string* svg, double x1, double y1, double x2, double y2, const char* kind) {
  absl::StrAppendFormat(svg, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2,
                        kind);
}

void AppendPanel(const Panel& panel, const LoadAxis& axis, const std::string& load_title, double left, double top,
                 std::string* svg) {
  double highest = 0;
  for (const Series& series : panel.series)
    highest = std::max(highest, *std::max_element(series.values.begin(), series.values.end()));
  const double step = panel.is_share ? 20 : NiceStep(highest > 0 ? highest : 1, 5);
  const double end = panel.is_share ? 100 : std::max(1.0, std::ceil(highest / step)) * step;
  const double bottom = kPanelHeight - kBottom;
  const auto height = [&](double value) { return bottom - value / end * (bottom - kTop); };
  absl::StrAppendFormat(svg, "<g transform=\"translate(%.0f %.0f)\">\n", left, top);
  AppendText(svg, kLeft, 16, "title", panel.title);
  for (int i = 0; i * step <= end * 1.001; ++i) {
    AppendLine(svg, kLeft, height(i * step), kPanelWidth - kRight, height(i * step), i == 0 ? "axis" : "grid");
    AppendText(svg, kLeft - 6, height(i * step) + 4, "left", Short(i * step));
  }
  for (const double load : axis.Ticks()) {
    AppendLine(svg, axis.At(load), bottom, axis.At(load), bottom + 4, "axis");
    AppendText(svg, axis.At(load), bottom + 17, "below", Short(load));
  }
  AppendText(svg, (kLeft + kPanelWidth - kRight) / 2, bottom + 36, "below", load_title);
  double legend = kPanelWidth - kRight;
  for (size_t i = panel.series.size(); i-- > 0;) {
    const Series& series = panel.series[i];
    std::string points;
    for (size_t p = 0; p < series.values.size(); ++p) {
      absl::StrAppendFormat(&points, "%.1f,%.1f ", axis.At(axis.loads()[p]), height(series.values[p]));
      absl::StrAppendFormat(
          svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s: %.4g</title></circle>\n",
          axis.At(axis.loads()[p]), height(series.values[p]), kColours[i], Escaped(series.name), series.values[p]);
    }
    absl::StrAppendFormat(svg, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", points,
                          kColours[i]);
    if (panel.series.size() == 1) continue;
    absl::StrAppendFormat(svg,
                          "<text x=\"%.1f\" y=\"16\" class=\"left\" style=\"fill:%s;font-weight:bold\">%s</text>\n",
                          legend, kColours[i], Escaped(series.name));
    legend -= 12 + 7.0 * static_cast<double>(series.name.size());
  }
  absl::StrAppend(svg, "</g>\n");
}

Series Take(const std::string& name, const std::vector<RunResult>& results,
            const std::function<double(const RunResult&)>& value) {
  Series series{.name = name};
  for (const RunResult& result : results) series.values.push_back(value(result));
  return series;
}

Panel Times(const char* title, const std::vector<RunResult>& results, Histogram Measurements::*member) {
  Panel panel{.title = absl::StrCat(title, ", ms")};
  for (const double percent : {50.0, 99.0}) {
    panel.series.push_back(Take(absl::StrCat("p", percent), results, [member, percent](const RunResult& result) {
      return (result.measured.*member).PercentileMs(percent);
    }));
  }
  return panel;
}

}  // namespace

std::string PlotSweep(const Options& options, const std::vector<RunResult>& results, const std::string& origin) {
  const LoadAxis axis(Take("", results, [&](const RunResult& result) {
                        return options.sweep.over_rate ? result.rate : result.concurrency;
                      }).values);
  const std::string load_title = absl::StrCat(options.sweep.over_rate ? "requests begun a second" : "streams",
                                              axis.is_log() ? " (logarithmic)" : "");
  std::vector<Panel> panels = {Times("Time to first token", results, &Measurements::time_to_first_token),
                               Times("Time per output token", results, &Measurements::time_per_output_token)};
  panels.push_back({.title = "Output tokens a second", .series = {Take("", results, [](const RunResult& result) {
                                                         return result.PerSecond(result.measured.completion_tokens);
                                                       })}});
  if (options.has_goodput) {
    panels.push_back({.title = absl::StrCat("Good answers, % (", options.goodput.ToString(), ")"),
                      .series = {Take("", results, [](const RunResult& result) { return result.GoodShare() * 100; })},
                      .is_share = true});
  } else {
    panels.push_back(Times("End to end", results, &Measurements::end_to_end));
  }
  const double width = 2 * kPanelWidth + 10;
  const double height = kHead + 2 * kPanelHeight;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
      "font-family=\"sans-serif\">\n"
      "<style>text{fill:#222;font-size:12px}.head{font-size:16px;font-weight:bold}.title{font-weight:bold}.left{text-"
      "anchor:end}"
      ".below{text-anchor:middle}.axis{stroke:#444}.grid{stroke:#ddd}</style>\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
      width, height, width, height);
  AppendText(&svg, 16, 24, "head", absl::StrCat(options.model, ": latency against load"));
  AppendText(&svg, 16, 42, "", origin);
  for (size_t i = 0; i < panels.size(); ++i) {
    AppendPanel(panels[i], axis, load_title, static_cast<double>(i % 2) * (kPanelWidth + 10),
                kHead + static_cast<double>(i / 2) * kPanelHeight, &svg);
  }
  absl::StrAppend(&svg, "</svg>\n");
  return svg;
}

}  // namespace swiftlet::bench
