#include "tools/cc/engine_bench/kernel_profile.h"

#include <absl/strings/str_cat.h>
#include <cupti.h>
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/base/dynamic_library.h"
#include "engine/base/status_macros.h"

namespace swiftlet {
namespace {

constexpr size_t kBufferBytes = size_t{8} << 20;

// The function without its arguments and namespaces, as a person would call it.
std::string ShortName(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                              &std::free);
  std::string name = status == 0 ? demangled.get() : mangled;
  for (const std::string_view drop : {"void ", "(anonymous namespace)::", "swiftlet::cuda::", "swiftlet::"}) {
    for (size_t at; (at = name.find(drop)) != std::string::npos;) name.erase(at, drop.size());
  }
  int depth = 0;  // of template arguments: their parentheses are casts
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth == 0) return name.substr(0, i);
  }
  return name;
}

// What CUPTI's callbacks reach: they have no argument of ours.
struct Collector {
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks = nullptr;
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityFlushAll) flush_all = nullptr;
  decltype(&cuptiActivityGetNextRecord) get_next_record = nullptr;
  std::mutex mutex;
  std::vector<KernelRecord> records;  // guarded by mutex

  static Collector& Instance() {
    static Collector& collector = *new Collector;  // CUPTI calls until the process is gone
    return collector;
  }

  static void CUPTIAPI OnRequested(uint8_t** buffer, size_t* size, size_t* max_records) {
    *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, kBufferBytes));
    *size = kBufferBytes;
    *max_records = 0;
  }

  static void CUPTIAPI OnCompleted(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
    Collector& self = Instance();
    std::lock_guard<std::mutex> lock(self.mutex);
    for (CUpti_Activity* record = nullptr; self.get_next_record(buffer, valid, &record) == CUPTI_SUCCESS;) {
      if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
      const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
      self.records.push_back(
          {absl::StrCat(ShortName(kernel->name), " [", kernel->gridX, ",", kernel->gridY, ",", kernel->gridZ, "]"),
           kernel->start, kernel->end});
    }
    std::free(buffer);
  }
};

absl::Status ToStatus(CUptiResult result, const char* what) {
  if (result == CUPTI_SUCCESS) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("CUPTI: ", what, " gave error ", static_cast<int>(result)));
}

}  // namespace

absl::Status KernelProfile::Open() {
  ASSIGN_OR_RETURN(const DynamicLibrary library, DynamicLibrary::Open({"libcupti.so.13", "libcupti.so"}));
  Collector& collector = Collector::Instance();
  RETURN_IF_ERROR(library.Load("cuptiActivityRegisterCallbacks", &collector.register_callbacks));
  RETURN_IF_ERROR(library.Load("cuptiActivityEnable", &collector.enable));
  RETURN_IF_ERROR(library.Load("cuptiActivityFlushAll", &collector.flush_all));
  RETURN_IF_ERROR(library.Load("cuptiActivityGetNextRecord", &collector.get_next_record));
  RETURN_IF_ERROR(ToStatus(collector.register_callbacks(&Collector::OnRequested, &Collector::OnCompleted),
                           "cuptiActivityRegisterCallbacks"));
  return ToStatus(collector.enable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), "cuptiActivityEnable");
}

absl::StatusOr<std::vector<KernelRecord>> KernelProfile::Take() {
  Collector& collector = Collector::Instance();
  RETURN_IF_ERROR(ToStatus(collector.flush_all(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "cuptiActivityFlushAll"));
  std::lock_guard<std::mutex> lock(collector.mutex);
  return std::exchange(collector.records, {});
}

}  // namespace swiftlet
