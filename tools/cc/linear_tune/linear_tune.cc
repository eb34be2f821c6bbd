// Finds cuBLASLt's best algorithms for a model's linear layers on this machine's GPU and writes them as a table: what
// --tune-cache reads, and what engine/kernels/cuda/linear_table_<device>.cc has built in.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/base/cuda/device.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/linear_cublaslt.h"
#include "engine/kernels/cuda/linear_table.h"
#include "tools/cc/kernel_bench/linear_search.h"
#include "tools/cc/kernel_bench/linear_timer.h"

namespace swiftlet {
namespace {

using cuda::CublasLtEpilogue;
using cuda::CublasLtProblem;

struct Options {
  int32_t hidden = 1536, qkv = 2048, attention = 1536, intermediate = 8960, vocab = 151936;
  bool bias = false;
  std::vector<int32_t> rows = {1,   8,   16,   32,   64,   96,   128,  192,  256, 384,
                               512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192};
  std::string folder;
};

absl::Status Run(const Options& options) {
  ASSIGN_OR_RETURN(const Device device, OpenDevice(0));
  ASSIGN_OR_RETURN(const LinearTimer timer, LinearTimer::Create());
  ASSIGN_OR_RETURN(const std::unique_ptr<cuda::CublasLtLinear> cublaslt, cuda::CublasLtLinear::Create());
  const CublasLtEpilogue add = options.bias ? CublasLtEpilogue::kAddBias : CublasLtEpilogue::kAdd;
  const CublasLtProblem layers[] = {
      {CublasLtEpilogue::kStore, options.qkv, options.hidden, 0},
      {add, options.hidden, options.attention, 0},
      {CublasLtEpilogue::kStore, 2 * options.intermediate, options.hidden, 0},
      {add, options.hidden, options.intermediate, 0},
      {CublasLtEpilogue::kStore, options.vocab, options.hidden, 0},
  };
  std::string table;
  const auto write = [&](const std::string& line) {
    table += line;
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);
  };
  write(absl::StrFormat("# %s, cuBLASLt %d, weights from memory; microseconds: best (first heuristic)\n", device.name,
                        cublaslt->version()));
  for (CublasLtProblem problem : layers) {
    for (const int32_t rows : options.rows) {
      problem.rows = rows;
      if (!timer.Fits(rows, problem.out_features, problem.in_features)) continue;
      const absl::StatusOr<LinearSearchResult> found = SearchCublasLt(timer, *cublaslt, problem);
      if (absl::IsDataLoss(found.status())) return found.status();
      if (!found.ok()) {
        write(absl::StrCat("# [", problem.out_features, ", ", problem.in_features, "], ", rows,
                           " rows: ", found.status().ToString(), "\n"));
        continue;
      }
      write(absl::StrFormat("%s  # %.2f (%.2f)\n", cuda::LinearTable::Line(problem, found->best), found->best_us,
                            found->first_us));
    }
  }
  if (options.folder.empty()) return absl::OkStatus();
  const std::string path = absl::StrCat(options.folder, "/", cuda::LinearTable::FileName(device.name));
  std::ofstream file(path);
  file << table;
  file.close();
  return file ? absl::OkStatus() : absl::PermissionDeniedError(absl::StrCat("cannot write ", path));
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  swiftlet::Options options;
  CLI::App app("Finds the best cuBLASLt algorithms for a model's linear layers");
  app.add_option("--hidden", options.hidden, "hidden size")->capture_default_str();
  app.add_option("--qkv", options.qkv, "(heads + 2 KV heads) * head size")->capture_default_str();
  app.add_option("--attention", options.attention, "heads * head size")->capture_default_str();
  app.add_option("--intermediate", options.intermediate, "size of the MLP")->capture_default_str();
  app.add_option("--vocab", options.vocab, "rows of the head")->capture_default_str();
  app.add_flag("--bias", options.bias, "the output and down projections have a bias");
  app.add_option("--rows", options.rows, "numbers of rows");
  app.add_option("--write", options.folder, "folder that the table is written to, by the device's name");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = swiftlet::Run(options);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
