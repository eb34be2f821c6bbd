// metrics_doc: every metric of every process, as docs/metrics.md. It makes the metrics that the programs make and
// prints what was added; tests/deploy holds live scrapes against the file.
//
//   metrics_doc > docs/metrics.md
//   metrics_doc --check docs/metrics.md    exit status 1, with the command that mends it, when the file is stale
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/file.h"
#include "services/common/process_metrics.h"
#include "services/common/tls_source.h"
#include "services/common/vllm_names.h"
#include "tools/cc/metrics_doc/processes.h"

namespace swiftlet {
namespace {

using Descriptions = std::map<std::string, MetricDescription>;

constexpr char kHead[] = R"(<!-- Written by metrics_doc from the code; see the end. -->
# Metrics

Every process has `/metrics` on its admin port, in Prometheus' text format: the gateway on 8002, the tokenizer on 8102, the worker
on 8202. `deploy/prometheus` scrapes all of them, the chart's PodMonitor likewise, and `deploy/grafana` has a dashboard; both are tried
against a real Prometheus in tests/deploy.

Label values are bounded. `model` is a name that a worker serves, whatever callers ask for (`model=""`: requests that named none of
them); `route` a row of the gateway's table of paths, `(none)` for all others; `worker` an address in `--worker-endpoints`, whose series
ends when that worker is no longer attached; `key` the name of an API key, and beyond 1,000 of them, as beyond 64 models, `(other)`.
Request ids, prompts and callers are in no label.

`reason` of a gateway's rejection: `requests`, `tokens` (`--max-requests`, `--max-outstanding-tokens`), `deadline` (those ahead of it take
longer than it has time), `key_requests`, `key_tokens` (its API key's limits), `tokenizer`, `worker` (their queues are full), `unavailable`
(nobody serves the model), `stopping` (the gateway drains). Of a worker's: `waiting_requests`, `waiting_tokens`, `waiting_grammars` (its
`--max-waiting-` flags), `deadline`, `unavailable` (it stops, or its device has failed), `invalid`. What is wrong in itself is counted by code.

Histograms have `_bucket`, `_sum` and `_count`. Seconds have buckets from 100 µs to 60 s, whole requests to 2 h; tokens 1, 2, 5, 10 ... 200,000.
)";

constexpr char kTail[] = R"(
The names of vLLM's server, by `--metrics-compat=vllm`, are in [from-vllm.md](from-vllm.md).

This file is written by `ninja -C build/cpu-release metrics_doc && build/cpu-release/bin/metrics_doc > docs/metrics.md`; a test says when
it is stale.
)";

// By how Prometheus' conventions end names.
std::string UnitOf(std::string name) {
  if (absl::EndsWith(name, "_total")) name.resize(name.size() - std::strlen("_total"));
  for (const char* unit : {"seconds", "bytes", "tokens", "ratio", "watts", "joules", "hertz", "celsius"}) {
    if (absl::EndsWith(name, absl::StrCat("_", unit))) return unit;
  }
  return "";
}

std::string Row(const std::string& name, const MetricDescription& metric) {
  std::vector<std::string> labels;
  for (const std::string& label : metric.labels) labels.push_back(absl::StrCat("`", label, "`"));
  return absl::StrCat("| `", name, "` | ", metric.type, " | ", absl::StrJoin(labels, ", "), " | ", UnitOf(name), " | ",
                      metric.help, " |\n");
}

std::string Section(const std::string& title, const std::string& text, const Descriptions& metrics) {
  std::string section =
      absl::StrCat("\n## ", title, "\n", text, "| name | type | labels | unit | |\n|---|---|---|---|---|\n");
  for (const auto& [name, metric] : metrics) absl::StrAppend(&section, Row(name, metric));
  return section;
}

std::string Document() {
  const auto describe = [](const std::function<void(Metrics&)>& make) {
    Metrics metrics;
    make(metrics);
    return metrics.Describe();
  };
  std::string text = kHead;
  text += Section("Gateway", "", describe(AddGatewayMetrics));
  text += Section("Tokenizer", "", describe(AddTokenizerMetrics));
  text += Section("Worker",
                  "Those of the GPU itself are there where a driver with NVML is; they are read once a second, and a "
                  "GPU that has not "
                  "answered for ten seconds has none.\n\n",
                  describe(AddWorkerMetrics));
  text += Section("Every process", "Those of TLS where certificates are given.\n\n", describe([](Metrics& metrics) {
                    AddProcessMetrics("", metrics);
                    TlsMetrics tls(metrics);
                  }));
  return text + kTail;
}

int Check(const std::string& path, const std::string& text) {
  const absl::StatusOr<std::string> file = ReadFile(path, 1 << 20);
  if (file.ok() && *file == text) return 0;
  std::fprintf(stderr,
               "%s is stale: run\n  ninja -C build/cpu-release metrics_doc && build/cpu-release/bin/metrics_doc > %s\n",
               path.c_str(), path.c_str());
  return 1;
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  const std::string text = swiftlet::Document();
  if (argc == 3 && std::string_view(argv[1]) == "--check") return swiftlet::Check(argv[2], text);
  if (argc != 1) {
    std::fputs("Usage: metrics_doc [--check FILE]\n", stderr);
    return 64;
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}
