// Writes a random-weight checkpoint of any config.json in seconds: for sizes whose weights nobody can ship.
//
//   synth_checkpoint --config FILE --out DIR [--tokenizer DIR] [--seed N] [--dtype bf16] [--peaked] [--shards N]
//
// Scales: every linear layer keeps the size of what it is given (standard deviation 1 / sqrt(in_features)), the layers'
// outputs are damped so that the residual stream grows slowly, and the head, whose input is of unit size, gives logits
// of standard deviation 1, or with --peaked as much as makes the median entropy of the next token about 1 nat.
#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numbers>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/base/file.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/dtype.h"
#include "engine/model/architectures.h"
#include "engine/model/model_config.h"

namespace swiftlet {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{4} << 20;  // generated and written by one thread at a time
constexpr size_t kQuantiles = 1 << 16;

struct Options {
  std::string config_path;
  std::string out_directory;
  std::string tokenizer_directory;
  uint64_t seed = 1;
  DType dtype = DType::kBFloat16;
  bool peaked = false;
  int32_t shards = 1;
};

uint64_t Random64(uint64_t counter) {  // splitmix64 (Steele, Lea, Flood 2014)
  counter += 0x9e3779b97f4a7c15;
  counter = (counter ^ (counter >> 30)) * 0xbf58476d1ce4e5b9;
  counter = (counter ^ (counter >> 27)) * 0x94d049bb133111eb;
  return counter ^ (counter >> 31);
}

// Standard normal quantiles at the midpoints of 65,536 equal parts: 16 random bits make one draw.
std::vector<float> NormalQuantiles() {
  std::vector<float> quantiles(kQuantiles);
  double x = -4.5;
  for (size_t i = 0; i < kQuantiles; ++i) {
    const double target = (static_cast<double>(i) + 0.5) / kQuantiles;
    for (int step = 0; step < 20; ++step) {  // Newton on the distribution function, from the former quantile
      const double error = 0.5 * std::erfc(-x / std::numbers::sqrt2) - target;
      const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
      const double move = std::clamp(error / density, -0.5, 0.5);
      x -= move;
      if (std::fabs(move) < 1e-9) break;
    }
    quantiles[i] = static_cast<float>(x);
  }
  return quantiles;
}

// Median entropy, in nats, of a softmax over `vocab` independent normal logits of standard deviation `deviation`.
double MedianEntropy(const std::vector<float>& quantiles, int32_t vocab, double deviation, uint64_t seed) {
  std::vector<double> entropies;
  for (uint64_t draw = 0; draw < 33; ++draw) {
    double total = 0;
    double weighted = 0;
    const double shift = 4.5 * deviation;  // near the largest: keeps exp in range
    for (int32_t i = 0; i < vocab; ++i) {
      // A uniform draw finer than the table, else every large vocabulary would have the same few largest logits.
      const uint64_t bits = Random64(seed + (draw << 40) + static_cast<uint64_t>(i));
      const size_t at = bits >> 48;
      double normal = quantiles[at];
      if (at == 0 || at == kQuantiles - 1) {
        const double tail = (static_cast<double>(bits & 0xffffffffu) + 0.5) * 0x1p-32 / kQuantiles;
        const double radius = std::sqrt(-2 * std::log(tail * std::sqrt(2 * std::numbers::pi) * 4.3));
        normal = at == 0 ? -radius : radius;
      }
      const double logit = deviation * normal - shift;
      const double weight = std::exp(logit);
      total += weight;
      weighted += weight * logit;
    }
    entropies.push_back(std::log(total) - weighted / total);
  }
  std::nth_element(entropies.begin(), entropies.begin() + 16, entropies.end());
  return entropies[16];
}

// The deviation of the logits at which the median entropy is 1 nat, by bisection.
double PeakedDeviation(const std::vector<float>& quantiles, int32_t vocab, uint64_t seed) {
  double low = 0.1;
  double high = 60;
  for (int step = 0; step < 14; ++step) {
    const double middle = 0.5 * (low + high);
    (MedianEntropy(quantiles, vocab, middle, seed) > 1 ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

bool EndsWith(const std::string& name, std::string_view part) {
  return name.ends_with(part);
}

struct Values {
  double mean = 0;
  double deviation = 0;
};

// What the elements of a tensor are drawn from.
Values ValuesOf(const PlannedTensor& tensor, const ModelConfig& config, double logit_deviation) {
  using Names = TensorNames;
  // The logits of a tied head would be dominated by the token's own embedding if that were not small beside what the
  // layers add; the scale of the logits is then set by the last norm.
  constexpr double kEmbeddingDeviation = 0.02;
  const double hidden = config.hidden_size;
  if (tensor.name == Names::kEmbedding) return {0, kEmbeddingDeviation};
  if (tensor.name == Names::kFinalNorm) {
    return {config.tied_head ? logit_deviation / (kEmbeddingDeviation * std::sqrt(hidden)) : 1.0, 0};
  }
  if (tensor.name == Names::kHead) return {0, logit_deviation / std::sqrt(hidden)};
  if (tensor.shape.size() == 1) return EndsWith(tensor.name, ".bias") ? Values{0, 0.02} : Values{1, 0.05};
  const double in_features = static_cast<double>(tensor.shape[1]);
  const bool adds_to_residual = EndsWith(tensor.name, absl::StrCat(ToAbsl(Names::kOutput), ".weight")) ||
                                EndsWith(tensor.name, absl::StrCat(ToAbsl(Names::kDown), ".weight"));
  return {0, (adds_to_residual ? 0.5 : 1.0) / std::sqrt(in_features)};
}

uint16_t ToBits16(float value, DType dtype) {
  return dtype == DType::kBFloat16 ? BFloat16FromFloat(value) : Float16FromFloat(value);
}

// Elements [first, first + count) of a tensor: a function of seed, tensor and index alone.
void Generate(const std::vector<float>& quantiles, const Values& values, uint64_t tensor_seed, uint64_t first,
              uint64_t count, DType dtype, std::span<const uint16_t> table16, std::byte* out) {
  for (uint64_t i = 0; i < count; i += 4) {
    const uint64_t bits = Random64(tensor_seed + (first + i) / 4);
    for (uint64_t k = 0; k < std::min<uint64_t>(4, count - i); ++k) {
      const size_t draw = (bits >> (16 * k)) & 0xffff;
      if (dtype == DType::kFloat32) {
        const float value = static_cast<float>(values.mean + values.deviation * quantiles[draw]);
        std::memcpy(out + 4 * (i + k), &value, 4);
      } else {
        std::memcpy(out + 2 * (i + k), &table16[draw], 2);
      }
    }
  }
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

absl::Status WriteAt(int fd, const std::string& path, uint64_t offset, const std::byte* data, uint64_t bytes) {
  while (bytes > 0) {
    const ssize_t done = pwrite(fd, data, bytes, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
    offset += static_cast<uint64_t>(done);
    data += done;
    bytes -= static_cast<uint64_t>(done);
  }
  return absl::OkStatus();
}

std::string_view FormatName(DType dtype) {
  return dtype == DType::kBFloat16 ? "BF16" : dtype == DType::kFloat16 ? "F16" : "F32";
}

// One safetensors file of `tensors`, written by all threads.
absl::Status WriteShard(const std::string& path, std::span<const PlannedTensor> tensors, const ModelConfig& config,
                        const Options& options, const std::vector<float>& quantiles, double logit_deviation,
                        ThreadPool& pool) {
  struct Piece {
    size_t tensor;
    uint64_t first, count, offset;
  };
  const uint64_t element_bytes = DTypeBytes(options.dtype);
  std::vector<std::string> entries;
  std::vector<Piece> pieces;
  uint64_t offset = 0;
  for (size_t t = 0; t < tensors.size(); ++t) {
    uint64_t elements = 1;
    for (const int64_t extent : tensors[t].shape) elements *= static_cast<uint64_t>(extent);
    for (uint64_t first = 0; first < elements; first += kPieceBytes / element_bytes) {
      pieces.push_back(
          {t, first, std::min(kPieceBytes / element_bytes, elements - first), offset + first * element_bytes});
    }
    const uint64_t end = offset + elements * element_bytes;
    entries.push_back(absl::StrFormat(R"("%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]})", tensors[t].name,
                                      ToAbsl(FormatName(options.dtype)), absl::StrJoin(tensors[t].shape, ","), offset,
                                      end));
    offset = end;
  }
  std::string header = absl::StrCat("{\"__metadata__\":{\"format\":\"pt\"},", absl::StrJoin(entries, ","), "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t header_bytes = header.size();
  const uint64_t data_begin = 8 + header_bytes;

  const Descriptor file{open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
  if (file.fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  RETURN_IF_ERROR(WriteAt(file.fd, path, 0, reinterpret_cast<const std::byte*>(&header_bytes), 8));
  RETURN_IF_ERROR(WriteAt(file.fd, path, 8, reinterpret_cast<const std::byte*>(header.data()), header_bytes));

  std::atomic<size_t> next{0};
  std::atomic<int> write_error{0};
  pool.Run(pool.num_threads(), [&](int64_t) {
    std::vector<std::byte> buffer(kPieceBytes);
    std::vector<uint16_t> table16(kQuantiles);
    size_t table_of = tensors.size();
    for (size_t index; write_error.load() == 0 && (index = next.fetch_add(1)) < pieces.size();) {
      const Piece& piece = pieces[index];
      const PlannedTensor& tensor = tensors[piece.tensor];
      const Values values = ValuesOf(tensor, config, logit_deviation);
      if (table_of != piece.tensor && options.dtype != DType::kFloat32) {
        for (size_t i = 0; i < kQuantiles; ++i) {
          table16[i] = ToBits16(static_cast<float>(values.mean + values.deviation * quantiles[i]), options.dtype);
        }
        table_of = piece.tensor;
      }
      const uint64_t tensor_seed = Random64(options.seed ^ Random64(std::hash<std::string>()(tensor.name)));
      Generate(quantiles, values, tensor_seed, piece.first, piece.count, options.dtype, table16, buffer.data());
      if (!WriteAt(file.fd, path, data_begin + piece.offset, buffer.data(), piece.count * element_bytes).ok()) {
        write_error.store(errno == 0 ? EIO : errno);
      }
    }
  });
  if (write_error.load() != 0) return absl::ErrnoToStatus(write_error.load(), absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

// Consecutive tensors of about equal size each.
std::vector<std::span<const PlannedTensor>> Split(const std::vector<PlannedTensor>& tensors, int32_t shards) {
  const auto elements = [](const PlannedTensor& tensor) {
    double product = 1;
    for (const int64_t extent : tensor.shape) product *= static_cast<double>(extent);
    return product;
  };
  double total = 0;
  for (const PlannedTensor& tensor : tensors) total += elements(tensor);
  std::vector<std::span<const PlannedTensor>> parts;
  size_t begin = 0;
  double done = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    done += elements(tensors[i]);
    const bool last = i + 1 == tensors.size();
    if (last || done >= total * static_cast<double>(parts.size() + 1) / shards) {
      parts.push_back(std::span(tensors).subspan(begin, i + 1 - begin));
      begin = i + 1;
    }
  }
  return parts;
}

absl::Status CopySmallFiles(const Options& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::copy_file(options.config_path, options.out_directory + "/config.json", fs::copy_options::overwrite_existing,
                error);
  if (error) return absl::UnknownError(absl::StrCat("cannot copy ", options.config_path, ": ", error.message()));
  if (options.tokenizer_directory.empty()) return absl::OkStatus();
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja", "generation_config.json"}) {
    const std::string source = absl::StrCat(options.tokenizer_directory, "/", name);
    if (!fs::exists(source, error)) continue;
    fs::copy_file(source, absl::StrCat(options.out_directory, "/", name), fs::copy_options::overwrite_existing, error);
    if (error) return absl::UnknownError(absl::StrCat("cannot copy ", source, ": ", error.message()));
  }
  return absl::OkStatus();
}

absl::Status WriteCheckpoint(const Options& options) {
  ASSIGN_OR_RETURN(const std::string config_text, ReadFile(options.config_path, 4 << 20));
  ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(config_text));
  std::error_code error;
  std::filesystem::create_directories(options.out_directory, error);
  if (error) return absl::UnknownError(absl::StrCat("cannot create ", options.out_directory, ": ", error.message()));
  RETURN_IF_ERROR(CopySmallFiles(options));

  const std::vector<float> quantiles = NormalQuantiles();
  const double logit_deviation = options.peaked ? PeakedDeviation(quantiles, config.vocab_size, options.seed) : 1.0;
  ThreadPool pool(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  const std::vector<PlannedTensor> tensors = TensorsOf(config);
  const auto parts = Split(tensors, options.shards);
  std::vector<std::string> index;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string name = parts.size() == 1 ? "model.safetensors"
                                               : absl::StrFormat("model-%05d-of-%05d.safetensors", i + 1, parts.size());
    std::fprintf(stderr, "\rwriting %s", name.c_str());
    RETURN_IF_ERROR(WriteShard(absl::StrCat(options.out_directory, "/", name), parts[i], config, options, quantiles,
                               logit_deviation, pool));
    for (const PlannedTensor& tensor : parts[i]) index.push_back(absl::StrCat("\"", tensor.name, "\": \"", name, "\""));
  }
  if (parts.size() > 1) {
    std::ofstream file(options.out_directory + "/model.safetensors.index.json");
    file << "{\"metadata\": {}, \"weight_map\": {\n" << absl::StrJoin(index, ",\n") << "\n}}\n";
    if (!file.flush()) return absl::UnknownError(absl::StrCat("cannot write the index in ", options.out_directory));
  }
  std::fprintf(stderr, "\r%s: %s, %zu tensors in %zu files, standard deviation of the logits %.2f\n",
               options.out_directory.c_str(), config.architecture.c_str(), tensors.size(), parts.size(),
               logit_deviation);
  return absl::OkStatus();
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  swiftlet::Options options;
  CLI::App app("Writes a random-weight checkpoint of any supported config.json");
  app.add_option("--config", options.config_path, "config.json of the model")->required();
  app.add_option("--out", options.out_directory, "directory to write")->required();
  app.add_option("--tokenizer", options.tokenizer_directory, "directory to copy tokenizer files from");
  app.add_option("--seed", options.seed, "equal seeds, equal weights");
  const std::map<std::string, swiftlet::DType> dtypes = {
      {"bf16", swiftlet::DType::kBFloat16}, {"f16", swiftlet::DType::kFloat16}, {"f32", swiftlet::DType::kFloat32}};
  app.add_option("--dtype", options.dtype, "bf16, f16 or f32")->transform(CLI::Transformer(dtypes));
  app.add_flag("--peaked", options.peaked, "scale the head for a median entropy of about 1 nat");
  app.add_option("--shards", options.shards, "files to split into")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = swiftlet::WriteCheckpoint(options); !status.ok()) {
    std::fprintf(stderr, "synth_checkpoint: %s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
