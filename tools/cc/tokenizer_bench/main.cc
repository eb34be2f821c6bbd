// tokenizer_bench MODEL_DIRECTORY FILE...: how fast one core turns each file into token ids, the file taken as text of
// a user in documents of 8 KiB (a prompt's size), as often as fits into about a second. The first pass over a file is
// reported on its own: there no piece has been seen before. Prints the load time too. Times are of this thread's CPU,
// so that neighbours on the machine cost less accuracy.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/file.h"
#include "services/text/encode/tokenizer_loader.h"
#include "services/text/encode/unicode.h"

namespace swiftlet {
namespace {

double CpuSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::vector<std::string_view> Documents(std::string_view text) {
  constexpr size_t kDocumentBytes = 8 << 10;
  std::vector<std::string_view> documents;
  while (!text.empty()) {
    size_t end = std::min(kDocumentBytes, text.size());
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    documents.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return documents;
}

// Ids produced; negative after an error, which is printed.
int64_t EncodeAll(const Tokenizer& tokenizer, const std::vector<std::string_view>& documents) {
  int64_t tokens = 0;
  for (const std::string_view document : documents) {
    const TextSegment segment{.text = document, .allow_special = false};
    const auto ids = tokenizer.Encode({&segment, 1}, {});
    if (!ids.ok()) {
      std::fprintf(stderr, "tokenizer_bench: %s\n", ids.status().ToString().c_str());
      return -1;
    }
    tokens += static_cast<int64_t>(ids->size());
  }
  return tokens;
}

int Run(const std::string& directory, const std::vector<std::string>& paths) {
  const double load_start = CpuSeconds();
  const auto tokenizer = LoadTokenizer(directory);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "tokenizer_bench: %s\n", tokenizer.status().ToString().c_str());
    return 1;
  }
  std::printf("load %.1f ms, %d ids\n", (CpuSeconds() - load_start) * 1e3, (*tokenizer)->vocab_size());
  std::printf("%10s %12s %12s %12s  %s\n", "bytes", "bytes/token", "first MB/s", "best MB/s", "file");
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> text = ReadFile(path, size_t{1} << 30);
    if (!text.ok()) {
      std::fprintf(stderr, "tokenizer_bench: %s\n", text.status().ToString().c_str());
      return 1;
    }
    const std::vector<std::string_view> documents = Documents(*text);
    double first = 0;
    double best = 1e9;
    int64_t tokens = 0;
    const double start = CpuSeconds();
    do {
      const double pass_start = CpuSeconds();
      tokens = EncodeAll(**tokenizer, documents);
      if (tokens < 0) return 1;
      const double seconds = CpuSeconds() - pass_start;
      if (first == 0) first = seconds;
      best = std::min(best, seconds);
    } while (CpuSeconds() - start < 1);
    const double megabytes = static_cast<double>(text->size()) * 1e-6;
    std::printf("%10zu %12.2f %12.1f %12.1f  %s\n", text->size(),
                static_cast<double>(text->size()) / static_cast<double>(std::max<int64_t>(tokens, 1)),
                megabytes / first, megabytes / best, path.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace swiftlet

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenizer_bench MODEL_DIRECTORY FILE...\n");
    return 2;
  }
  return swiftlet::Run(argv[1], std::vector<std::string>(argv + 2, argv + argc));
}
