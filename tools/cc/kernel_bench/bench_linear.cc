// Linear layers of DeepSeek-R1-Distill-Qwen-1.5B on the GPU: our own kernel in many configurations, cuBLASLt's first
// heuristic and its best, microseconds and fraction of the roof; then whole chains of a layer's four linear layers.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/cuda/device.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/linear_cublaslt.h"
#include "engine/kernels/cuda/linear_skinny.h"
#include "engine/kernels/cuda/linear_tiled.h"
#include "tools/cc/kernel_bench/linear_search.h"
#include "tools/cc/kernel_bench/linear_timer.h"

namespace swiftlet {
namespace {

using cuda::CublasLtEpilogue;
using cuda::CublasLtLinear;
using cuda::CublasLtProblem;
using cuda::LaunchContext;
using cuda::LinearArgs;
using cuda::LinearEpilogue;
using cuda::LinearKernels;
using cuda::LinearRole;
using cuda::SkinnyConfig;

struct Layer {
  const char* name;
  LinearRole role;
  LinearEpilogue epilogue;
  int32_t out_features, in_features;
};

constexpr Layer kLayers[] = {
    {"qkv", LinearRole::kQkv, LinearEpilogue::kStore, 2048, 1536},
    {"o", LinearRole::kOutput, LinearEpilogue::kAddTo, 1536, 1536},
    {"gate_up", LinearRole::kGateUp, LinearEpilogue::kSwiglu, 17920, 1536},
    {"down", LinearRole::kDown, LinearEpilogue::kAddTo, 1536, 8960},
    {"head", LinearRole::kHead, LinearEpilogue::kStore, 151936, 1536},
};

class Bench {
 public:
  Bench(Device device, LinearTimer timer, std::unique_ptr<CublasLtLinear> cublaslt,
        std::unique_ptr<LinearKernels> kernels)
      : device_(std::move(device)),
        timer_(std::move(timer)),
        cublaslt_(std::move(cublaslt)),
        kernels_(std::move(kernels)) {
    context_.stream = timer_.stream().get();
    context_.device = &device_;
  }

  // The best configurations of our own kernel for a layer and up to 8 rows.
  void Sweep(const Layer& layer, int32_t rows) {
    std::vector<std::pair<double, SkinnyConfig>> results;
    int refused = 0;
    std::string refusal;
    for (const SkinnyConfig& config : Configs(layer)) {
      const absl::StatusOr<double> us = TimeSkinny(layer, rows, config);
      if (us.ok()) {
        results.emplace_back(*us, config);
      } else {
        ++refused;
        if (us.status().code() != absl::StatusCode::kInvalidArgument || refusal.empty()) {
          refusal = us.status().ToString();
        }
        if (absl::IsDataLoss(us.status())) break;
      }
    }
    std::sort(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const double roof = LinearRoofUs(rows, layer.out_features, layer.in_features);
    absl::PrintF("%-8s M %4d own: %d configurations, %d refused (%s)\n", layer.name, rows, results.size(), refused,
                 refusal);
    for (size_t i = 0; i < std::min<size_t>(results.size(), 6); ++i) {
      absl::PrintF("  %7.2f us %.2f  %s\n", results[i].first, roof / results[i].first, results[i].second.Name());
    }
    if (!results.empty()) {
      absl::PrintF("  %7.2f us %.2f  %s (worst)\n", results.back().first, roof / results.back().first,
                   results.back().second.Name());
    }
    std::fflush(stdout);
  }

  void SweepTiled(const Layer& layer, int32_t rows) {
    std::vector<std::pair<double, std::string>> results;
    std::string refusal;
    double serial_us = 1e9;
    std::string serial_name;
    for (const cuda::TiledConfig& config : TiledConfigs(layer, rows)) {
      const absl::StatusOr<double> us = timer_.Microseconds(
          std::min(rows >= 2048 ? 4 : 28, timer_.Copies(layer.out_features, layer.in_features)), [&](int call) {
            return cuda::TiledLinear(context_, config,
                                     {.linear = Args(layer, rows, call),
                                      .epilogue = layer.epilogue,
                                      .scale = 32.f,
                                      .output = timer_.output(),
                                      .residual = timer_.residual()});
          });
      if (!us.ok()) {
        if (!absl::IsInvalidArgument(us.status())) refusal = us.status().ToString();
        if (absl::IsDataLoss(us.status())) break;
        continue;
      }
      if (config.serial) {
        if (*us < serial_us) serial_name = config.Name();
        serial_us = std::min(serial_us, *us);
        continue;
      }
      results.emplace_back(*us, config.Name());
    }
    std::sort(results.begin(), results.end());
    const double roof = LinearRoofUs(rows, layer.out_features, layer.in_features);
    absl::PrintF("%-8s M %4d tiled: %d configurations, roof %.2f %s\n", layer.name, rows, results.size(), roof,
                 refusal);
    for (size_t i = 0; i < std::min<size_t>(results.size(), 8); ++i) {
      absl::PrintF("  %7.2f us %.2f  %s\n", results[i].first, roof / results[i].first, results[i].second);
    }
    if (!serial_name.empty()) absl::PrintF("  %7.2f us %.2f  %s\n", serial_us, roof / serial_us, serial_name);
    std::fflush(stdout);
  }

  // cuBLASLt's first heuristic and its best, and what LinearKernels chooses.
  void Compare(const Layer& layer, int32_t rows) {
    const CublasLtProblem problem = {
        layer.epilogue == LinearEpilogue::kAddTo ? CublasLtEpilogue::kAdd : CublasLtEpilogue::kStore,
        layer.out_features, layer.in_features, rows};
    double first = NAN, best = NAN, chosen = NAN;
    std::string trouble;
    const absl::StatusOr<LinearSearchResult> found = SearchCublasLt(timer_, *cublaslt_, problem);
    if (found.ok()) {
      first = found->first_us;
      best = found->best_us;
      if (found->refused > 0) absl::StrAppend(&trouble, found->refused, " refused");
      absl::StrAppend(&table_, cuda::LinearTable::Line(problem, found->best), absl::StrFormat("  # %.2f us\n", best));
    } else {
      trouble = found.status().ToString();
    }
    const absl::StatusOr<double> own = TimeChosen(layer, rows, context_);
    if (own.ok()) {
      chosen = *own;
    } else {
      absl::StrAppend(&trouble, " ", own.status().ToString());
    }
    const double roof = LinearRoofUs(rows, layer.out_features, layer.in_features);
    absl::PrintF("%-8s M %4d roof %8.2f us | cuBLASLt first %8.2f (%.2f) best %8.2f (%.2f) | chosen %8.2f (%.2f) %s\n",
                 layer.name, rows, roof, first, roof / first, best, roof / best, chosen, roof / chosen, trouble);
    std::fflush(stdout);
  }

  // The four layers one after another, through LinearKernels: microseconds for a layer.
  void Chain(int32_t rows, bool deterministic) {
    LaunchContext context = context_;
    context.deterministic = deterministic;
    constexpr int64_t kElements = (2048 + 1536 + 17920) * 1536 + 1536 * 8960;
    constexpr int kDepth = LinearTimer::kWeightBytes / 2 / kElements;
    const absl::StatusOr<double> us = timer_.Microseconds(kDepth, [&](int call) -> absl::Status {
      int64_t offset = 0;
      for (const Layer& layer : kLayers) {
        if (layer.role == LinearRole::kHead) continue;
        LinearArgs args = Args(layer, rows, 0);
        args.weight.data = timer_.Weight(1, kElements, call) + offset;
        offset += int64_t{layer.out_features} * layer.in_features;
        RETURN_IF_ERROR(RunChosen(layer, args, context));
      }
      return absl::OkStatus();
    });
    if (!us.ok()) {
      absl::PrintF("chain M %d: %s\n", rows, us.status().ToString());
      return;
    }
    absl::PrintF("chain    M %4d%s: %8.2f us a layer, weights alone %.2f us\n", rows,
                 deterministic ? " deterministic" : "", *us, kElements * 2 / 4.62e6);
    std::fflush(stdout);
  }

  void PrintTable() const { absl::PrintF("table of %s, cuBLASLt %d\n%s", device_.name, cublaslt_->version(), table_); }

 private:
  LinearArgs Args(const Layer& layer, int32_t rows, int call) const {
    return {
        .input = timer_.input(),
        .weight = {timer_.Weight(layer.out_features, layer.in_features, call), layer.out_features, layer.in_features},
        .num_rows = rows};
  }

  absl::StatusOr<double> TimeSkinny(const Layer& layer, int32_t rows, const SkinnyConfig& config) {
    return timer_.Microseconds(timer_.Copies(layer.out_features, layer.in_features), [&](int call) {
      return cuda::SkinnyLinear(context_, config,
                                {.linear = Args(layer, rows, call),
                                 .epilogue = layer.epilogue,
                                 .scale = 32.f,
                                 .output = timer_.output(),
                                 .residual = timer_.residual()});
    });
  }

  absl::Status RunChosen(const Layer& layer, const LinearArgs& args, const LaunchContext& context) {
    if (layer.epilogue == LinearEpilogue::kAddTo) {
      return kernels_->AddTo(context, layer.role, args, 32.f, nullptr, timer_.residual());
    }
    if (layer.epilogue == LinearEpilogue::kSwiglu) {
      __half* const second = timer_.output() + int64_t{args.num_rows} * layer.out_features;
      return kernels_->GateUp(context, args, nullptr, timer_.output(),
                              args.num_rows <= 4096 ? second : timer_.output());
    }
    return kernels_->Store(context, layer.role, args, timer_.output());
  }

  absl::StatusOr<double> TimeChosen(const Layer& layer, int32_t rows, const LaunchContext& context) {
    return timer_.Microseconds(timer_.Copies(layer.out_features, layer.in_features),
                               [&](int call) { return RunChosen(layer, Args(layer, rows, call), context); });
  }

  // Every instance that is not too large for the rows, with the clusters that may be good.
  static std::vector<cuda::TiledConfig> TiledConfigs(const Layer& layer, int32_t rows) {
    std::vector<cuda::TiledConfig> configs;
    for (const bool serial : {false, true}) {
      for (int32_t tile_rows : {64, 128, 256}) {
        if (tile_rows > 64 && rows <= tile_rows / 2) continue;
        for (int32_t features : {48, 64, 96, 128, 144, 192, 256}) {
          for (int32_t splits : {1, 2, 3, 4, 6, 7, 8}) {
            const int64_t tiles =
                int64_t{(rows + tile_rows - 1) / tile_rows} * ((layer.out_features + features - 1) / features);
            if (splits > 1 && !serial && (tiles * splits > 140 || tiles * splits < 60 || layer.out_features > 2048)) {
              continue;
            }
            if (serial && splits != 4) continue;
            if (tiles * (serial ? 1 : splits) < 40) continue;
            for (int32_t stages : {3, 4, 8}) {
              if (stages > 4 && (tile_rows + features) * 128 * (stages - 1) > 220 * 1024) continue;
              configs.push_back({tile_rows, features, splits, serial, stages});
            }
          }
        }
      }
    }
    return configs;
  }

  // What may be good: as many busy blocks as there are SMs, or twice that.
  std::vector<SkinnyConfig> Configs(const Layer& layer) const {
    std::vector<SkinnyConfig> configs;
    for (int32_t row_tiles : {1, 2}) {
      for (int32_t row_warps : {1, 2, 3, 4, 6, 8}) {
        for (int32_t k_warps : {1, 2, 3, 4, 5, 6, 8, 12, 16}) {
          if (row_warps * k_warps > 16 || row_warps * k_warps < 4) continue;
          for (int32_t cluster : {1, 2, 4, 8}) {
            for (int32_t stages : {4, 8}) {
              for (int32_t blocks_per_sm : {1, 2}) {
                SkinnyConfig config = {row_tiles, row_warps, k_warps, cluster, stages, blocks_per_sm, 8};
                const int32_t tiles = (layer.out_features + config.tile_rows() - 1) / config.tile_rows();
                const int32_t pieces = layer.in_features / 32 / cluster / k_warps;
                if (pieces < 2 || tiles * cluster < 90) continue;
                if (layer.out_features <= 2048 && (tiles * cluster > 132 || blocks_per_sm == 2)) continue;
                if (stages == 8 && pieces <= 4 && layer.out_features <= 2048) continue;
                configs.push_back(config);
              }
            }
          }
        }
      }
    }
    return configs;
  }

  Device device_;
  LinearTimer timer_;
  std::unique_ptr<CublasLtLinear> cublaslt_;
  std::unique_ptr<LinearKernels> kernels_;
  LaunchContext context_;
  std::string table_;
};

absl::Status Run(const std::vector<std::string_view>& parts) {
  ASSIGN_OR_RETURN(Device device, OpenDevice(0));
  ASSIGN_OR_RETURN(LinearTimer timer, LinearTimer::Create());
  ASSIGN_OR_RETURN(std::unique_ptr<CublasLtLinear> cublaslt, CublasLtLinear::Create());
  ASSIGN_OR_RETURN(std::unique_ptr<LinearKernels> kernels, LinearKernels::Create(device, ""));
  Bench bench(std::move(device), std::move(timer), std::move(cublaslt), std::move(kernels));
  const auto wanted = [&](std::string_view part) {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  if (wanted("sweep")) {
    for (int32_t rows : {1, 8}) {
      for (const Layer& layer : kLayers) {
        if (layer.role != LinearRole::kHead) bench.Sweep(layer, rows);
      }
    }
  }
  if (wanted("tiled")) {
    for (int32_t rows : {64, 128, 256, 512, 1024, 8192}) {
      for (const Layer& layer : kLayers) {
        if (layer.role != LinearRole::kHead || (rows >= 256 && rows <= 1024)) bench.SweepTiled(layer, rows);
      }
    }
  }
  if (wanted("chain")) {
    for (int32_t rows : {1, 8, 16, 32, 64, 128, 256, 512, 1024}) bench.Chain(rows, false);
    for (int32_t rows : {1, 32, 64, 128, 256, 1024}) bench.Chain(rows, true);
  }
  if (wanted("compare")) {
    for (int32_t rows : {1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192}) {
      for (const Layer& layer : kLayers) {
        if (layer.role == LinearRole::kHead && rows > 1024) continue;  // its output would not fit
        bench.Compare(layer, rows);
      }
    }
    bench.PrintTable();
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace swiftlet

// Parts: sweep, tiled, chain, compare; none named = all.
int main(int argc, char** argv) {
  const absl::Status status = swiftlet::Run(std::vector<std::string_view>(argv + 1, argv + argc));
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
