#include "engine/kernels/cuda/linear_table.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet::cuda {
namespace {

constexpr std::string_view kEpilogueNames[] = {"store", "add", "add_bias"};
constexpr int kNumbers = 12;

}  // namespace

absl::StatusOr<LinearTable> LinearTable::Parse(std::string_view text) {
  LinearTable table;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    ++line_number;
    line = line.substr(0, line.find('#'));
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    const auto name = std::find(std::begin(kEpilogueNames), std::end(kEpilogueNames), ToStd(words[0]));
    int64_t numbers[kNumbers];
    bool good = words.size() == kNumbers + 1 && name != std::end(kEpilogueNames);
    for (int i = 0; good && i < kNumbers; ++i) {
      good = absl::SimpleAtoi(words[i + 1], &numbers[i]) && numbers[i] >= 0 && numbers[i] <= INT32_MAX;
    }
    if (!good || numbers[10] > UINT16_MAX || numbers[11] > UINT16_MAX) {
      return absl::InvalidArgumentError(absl::StrCat("linear table, line ", line_number, ": ", line));
    }
    const CublasLtProblem problem = {static_cast<CublasLtEpilogue>(name - std::begin(kEpilogueNames)),
                                     static_cast<int32_t>(numbers[0]), static_cast<int32_t>(numbers[1]),
                                     static_cast<int32_t>(numbers[2])};
    table.entries_[problem] = {.id = static_cast<int32_t>(numbers[3]),
                               .tile = static_cast<uint32_t>(numbers[4]),
                               .split_k = static_cast<int32_t>(numbers[5]),
                               .reduction_scheme = static_cast<uint32_t>(numbers[6]),
                               .swizzle = static_cast<uint32_t>(numbers[7]),
                               .custom_option = static_cast<uint32_t>(numbers[8]),
                               .stages = static_cast<uint32_t>(numbers[9]),
                               .inner_shape = static_cast<uint16_t>(numbers[10]),
                               .cluster_shape = static_cast<uint16_t>(numbers[11])};
  }
  return table;
}

std::string LinearTable::FileName(std::string_view device_name) {
  std::string name = absl::AsciiStrToLower(ToAbsl(device_name));
  for (char& letter : name) {
    if (!absl::ascii_isalnum(letter)) letter = '_';
  }
  return name + ".txt";
}

absl::StatusOr<std::optional<LinearTable>> LinearTable::Find(std::string_view device_name,
                                                             const std::string& tune_cache) {
  if (!tune_cache.empty()) {
    std::ifstream file(absl::StrCat(tune_cache, "/", FileName(device_name)));
    if (file) {
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      ASSIGN_OR_RETURN(LinearTable table, Parse(text));
      return table;
    }
  }
  if (device_name != "NVIDIA H200") return std::nullopt;
  ASSIGN_OR_RETURN(LinearTable table, Parse(kLinearTableH200));
  return table;
}

const CublasLtAlgorithm* LinearTable::Find(const CublasLtProblem& problem) const {
  const auto found = entries_.lower_bound(problem);
  if (found == entries_.end()) return nullptr;
  const CublasLtProblem& entry = found->first;
  const bool same_shape = entry.epilogue == problem.epilogue && entry.out_features == problem.out_features &&
                          entry.in_features == problem.in_features;
  return same_shape ? &found->second : nullptr;
}

std::string LinearTable::Line(const CublasLtProblem& problem, const CublasLtAlgorithm& a) {
  return absl::StrCat(
      absl::StrCat(ToAbsl(kEpilogueNames[static_cast<int>(problem.epilogue)]), " ", problem.out_features, " ",
                   problem.in_features, " ", problem.rows),
      absl::StrCat(" ", a.id, " ", a.tile, " ", a.split_k, " ", a.reduction_scheme, " ", a.swizzle, " "),
      absl::StrCat(a.custom_option, " ", a.stages, " ", a.inner_shape, " ", a.cluster_shape));
}

}  // namespace swiftlet::cuda
