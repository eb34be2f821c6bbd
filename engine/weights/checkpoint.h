// The tensors of a model directory: model.safetensors, or the shards that model.safetensors.index.json lists.
// Opened and checked on one thread; Read may then be called by many. No memory map: a file cut short while it is read
// is an error, not a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "engine/weights/safetensors_header.h"

namespace swiftlet {

class Checkpoint {
 public:
  static absl::StatusOr<Checkpoint> Open(const std::string& directory);

  // Null when there is none of that name.
  const TensorInfo* Find(std::string_view name) const;
  // The tensor, of this shape and of a dtype that kernels read; the error names file, tensor, expected and found.
  absl::StatusOr<const TensorInfo*> Require(std::string_view name, std::span<const int64_t> shape) const;

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const std::string& PathOf(const TensorInfo& tensor) const { return files_[tensor.file].path; }

  // Bytes [offset, offset + into.size()) of the tensor. Any thread.
  absl::Status Read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> into) const;

 private:
  // An open file; closed with its owner.
  struct File {
    File(std::string path, int descriptor) : path(std::move(path)), descriptor(descriptor) {}
    ~File();
    File(File&& other) noexcept;
    File& operator=(File&&) = delete;
    std::string path;
    int descriptor;
  };

  absl::Status AddFile(const std::string& path);
  absl::Status OpenShards(const std::string& directory, const std::string& index_path);

  std::vector<File> files_;
  std::vector<TensorInfo> tensors_;
  absl::flat_hash_map<std::string, size_t> by_name_;  // into tensors_
};

}  // namespace swiftlet
