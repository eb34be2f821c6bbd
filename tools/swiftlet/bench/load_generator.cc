#include "tools/swiftlet/bench/load_generator.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "tools/swiftlet/bench/grpc_load.h"
#include "tools/swiftlet/bench/http_load.h"
#include "tools/swiftlet/bench/pacer.h"
#include "tools/swiftlet/bench/steady_time.h"

namespace swiftlet::bench {
namespace {

// What one thread of a run has for itself.
struct Part {
  std::unique_ptr<Pacer> pacer;
  Measurements measured;
  Progress progress;
  ThreadUse use;
  absl::Status status;
  std::thread thread;
};

int NumThreads(const Options& options) {
  const auto cores = static_cast<int32_t>(std::thread::hardware_concurrency());
  const int32_t most = options.concurrency > 0 ? options.concurrency : std::numeric_limits<int32_t>::max();
  return std::min(options.threads > 0 ? options.threads : DefaultThreads(most, cores), most);
}

int32_t StreamsOf(const Options& options, int thread, int num_threads) {
  if (options.concurrency == 0) return std::numeric_limits<int32_t>::max();
  return options.concurrency / num_threads + (thread < options.concurrency % num_threads ? 1 : 0);
}

LiveFigures Sum(const std::vector<std::unique_ptr<Part>>& parts, int64_t begin_ns) {
  LiveFigures live{.elapsed_s = static_cast<double>(NowNs() - begin_ns) * 1e-9};
  for (const auto& part : parts) {
    live.begun += part->progress.begun.load();
    live.ended += part->progress.ended.load();
    live.not_completed += part->progress.not_completed.load();
    live.tokens += part->progress.tokens.load();
  }
  return live;
}

}  // namespace

absl::StatusOr<RunResult> RunLoad(const Options& options, const Dataset& dataset, int64_t first_index,
                                  const std::function<bool(const LiveFigures&)>& watch) {
  RunPlan plan{.arrivals = options.arrivals, .seed = options.seed, .first_index = first_index, .begin_ns = NowNs()};
  if (options.requests > 0) plan.count = options.requests;
  if (options.duration_s > 0) plan.last_begin_ns = plan.begin_ns + static_cast<int64_t>(options.duration_s * 1e9);
  RunResult result{.rate = options.arrivals.rate, .concurrency = options.concurrency};
  result.client.threads = NumThreads(options);
  const double cpu_before_s = ProcessCpuSeconds();
  std::vector<std::unique_ptr<Part>> parts;
  std::atomic<int> num_running{result.client.threads};
  for (int t = 0; t < result.client.threads; ++t) {
    Part& part = *parts.emplace_back(std::make_unique<Part>());
    part.pacer = std::make_unique<Pacer>(plan, t, result.client.threads);
    part.thread = std::thread([&, t] {
      const ThreadLoad load{options,       dataset,      *part.pacer, StreamsOf(options, t, result.client.threads),
                            part.measured, part.progress};
      part.status = options.endpoint == Endpoint::kGrpc ? RunGrpcLoad(load) : RunHttpLoad(load);
      part.use = ThisThreadUse();
      --num_running;
    });
  }
  int64_t end_ns = plan.begin_ns;
  while (num_running > 0) {
    if (watch(Sum(parts, plan.begin_ns)) || plan.stopped) continue;
    plan.stopped = true;
    result.interrupted = true;
    end_ns = NowNs();
  }
  for (const auto& part : parts) {
    part->thread.join();
    end_ns = std::max(end_ns, part->measured.last_end_ns);
  }
  result.wall_s = static_cast<double>(end_ns - plan.begin_ns) * 1e-9;
  const double whole_s = static_cast<double>(NowNs() - plan.begin_ns) * 1e-9;
  result.client.cpu_share = (ProcessCpuSeconds() - cpu_before_s) / whole_s;
  for (const auto& part : parts) {
    if (!part->status.ok()) return part->status;
    result.measured.Append(part->measured);
    result.client.busiest_thread_share = std::max(result.client.busiest_thread_share, part->use.cpu_s / whole_s);
    result.client.most_waited_share = std::max(result.client.most_waited_share, part->use.waited_s / whole_s);
  }
  return result;
}

}  // namespace swiftlet::bench
