#include "engine/weights/checkpoint.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

constexpr size_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxShards = 10'000;

absl::Status InFile(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

absl::Status ReadExactly(int descriptor, const std::string& path, uint64_t offset, std::span<std::byte> into) {
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = pread(descriptor, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    if (got == 0) return absl::DataLossError(absl::StrCat(path, " ended at byte ", offset + done, " while being read"));
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

bool FileExists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

absl::string_view KeyOf(const auto& entry) {
  return {entry.key().data(), entry.key().size()};
}

// A shard is a plain file name: it may not lead out of the model directory.
bool IsPlainFileName(std::string_view name) {
  return !name.empty() && name.size() < 256 && name.find('/') == name.npos && name.find('\0') == name.npos &&
         name != ".." && name != ".";
}

}  // namespace

Checkpoint::File::~File() {
  if (descriptor >= 0) close(descriptor);
}

Checkpoint::File::File(File&& other) noexcept
    : path(std::move(other.path)), descriptor(std::exchange(other.descriptor, -1)) {}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& directory) {
  const std::string single = absl::StrCat(directory, "/model.safetensors");
  const std::string index = absl::StrCat(directory, "/model.safetensors.index.json");
  Checkpoint checkpoint;
  if (FileExists(single)) {
    RETURN_IF_ERROR(checkpoint.AddFile(single));
  } else if (FileExists(index)) {
    RETURN_IF_ERROR(checkpoint.OpenShards(directory, index));
  } else {
    return absl::NotFoundError(
        absl::StrCat(directory, " holds neither model.safetensors nor model.safetensors.index.json"));
  }
  return checkpoint;
}

absl::Status Checkpoint::AddFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  files_.emplace_back(path, descriptor);
  struct stat info;
  if (fstat(descriptor, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat ", path));
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  const uint64_t file_bytes = static_cast<uint64_t>(info.st_size);

  std::string length(std::min<uint64_t>(8, file_bytes), '\0');
  RETURN_IF_ERROR(ReadExactly(descriptor, path, 0, std::as_writable_bytes(std::span(length))));
  const absl::StatusOr<uint64_t> header_bytes = SafetensorsHeaderBytes(length, file_bytes);
  if (!header_bytes.ok()) return InFile(path, header_bytes.status());
  std::string header(*header_bytes, '\0');
  RETURN_IF_ERROR(ReadExactly(descriptor, path, 8, std::as_writable_bytes(std::span(header))));
  absl::StatusOr<std::vector<TensorInfo>> tensors = ParseSafetensorsHeader(header, file_bytes);
  if (!tensors.ok()) return InFile(path, tensors.status());

  for (TensorInfo& tensor : *tensors) {
    tensor.file = static_cast<int32_t>(files_.size()) - 1;
    const auto [entry, inserted] = by_name_.try_emplace(tensor.name, tensors_.size());
    if (!inserted) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor \"", tensor.name, "\" is in two files: ", PathOf(tensors_[entry->second]), " and ", path));
    }
    tensors_.push_back(std::move(tensor));
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::OpenShards(const std::string& directory, const std::string& index_path) {
  ASSIGN_OR_RETURN(const boost::json::value index, ReadStrictJsonFile(index_path, kMaxIndexBytes));
  const boost::json::object* object = index.if_object();
  const boost::json::value* map = object == nullptr ? nullptr : object->if_contains("weight_map");
  if (map == nullptr || !map->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(index_path, ": needs a \"weight_map\" object"));
  }
  std::set<std::string> shards;
  for (const auto& entry : map->get_object()) {
    const boost::json::string* shard = entry.value().if_string();
    if (shard == nullptr || !IsPlainFileName(std::string_view(shard->data(), shard->size()))) {
      return absl::InvalidArgumentError(absl::StrCat(index_path, ": weight_map of \"", KeyOf(entry),
                                                     "\" must be the name of a file in the same directory"));
    }
    shards.emplace(shard->data(), shard->size());
  }
  if (shards.size() > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat(index_path, ": names ", shards.size(), " shards; at most ", kMaxShards, " are allowed"));
  }
  for (const std::string& shard : shards) RETURN_IF_ERROR(AddFile(absl::StrCat(directory, "/", shard)));
  for (const auto& entry : map->get_object()) {
    const std::string expected = absl::StrCat(directory, "/", entry.value().get_string().c_str());
    const TensorInfo* tensor = Find(ToStd(KeyOf(entry)));
    if (tensor == nullptr || PathOf(*tensor) != expected) {
      return absl::InvalidArgumentError(absl::StrCat(index_path, ": says that tensor \"", KeyOf(entry), "\" is in ",
                                                     expected, "; it is ",
                                                     tensor == nullptr ? "in no shard" : PathOf(*tensor)));
    }
  }
  return absl::OkStatus();
}

const TensorInfo* Checkpoint::Find(std::string_view name) const {
  const auto found = by_name_.find(ToAbsl(name));
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

absl::StatusOr<const TensorInfo*> Checkpoint::Require(std::string_view name, std::span<const int64_t> shape) const {
  const std::string expected = absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
  const TensorInfo* tensor = Find(name);
  if (tensor == nullptr) {
    const std::string& where = files_.front().path;
    return absl::InvalidArgumentError(absl::StrCat(where, files_.size() > 1 ? " and its sister shards hold" : " holds",
                                                   " no tensor \"", ToAbsl(name), "\"; expected shape ", expected));
  }
  if (!std::ranges::equal(tensor->shape, shape)) {
    return absl::InvalidArgumentError(absl::StrCat(PathOf(*tensor), ": tensor \"", ToAbsl(name), "\" has shape ",
                                                   tensor->ShapeString(), "; config.json asks for ", expected));
  }
  if (!tensor->dtype.has_value()) {
    return absl::UnimplementedError(absl::StrCat(PathOf(*tensor), ": tensor \"", ToAbsl(name), "\" is stored as ",
                                                 tensor->dtype_name, "; BF16, F16 and F32 are supported"));
  }
  return tensor;
}

absl::Status Checkpoint::Read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> into) const {
  CHECK(offset <= tensor.bytes && into.size() <= tensor.bytes - offset)
      << tensor.name << " offset " << offset << " size " << into.size() << " of " << tensor.bytes;
  const File& file = files_[tensor.file];
  return ReadExactly(file.descriptor, file.path, tensor.offset + offset, into);
}

}  // namespace swiftlet
