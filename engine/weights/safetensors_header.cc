#include "engine/weights/safetensors_header.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

constexpr size_t kMaxDimensions = 8;
constexpr size_t kMaxNameBytes = 4096;

struct StorageFormat {
  std::string_view name;
  int32_t bytes;
  std::optional<DType> dtype;
};

constexpr std::array<StorageFormat, 15> kFormats = {{
    {"BF16", 2, DType::kBFloat16},
    {"F16", 2, DType::kFloat16},
    {"F32", 4, DType::kFloat32},
    {"F64", 8, std::nullopt},
    {"F8_E4M3", 1, std::nullopt},
    {"F8_E5M2", 1, std::nullopt},
    {"BOOL", 1, std::nullopt},
    {"I8", 1, std::nullopt},
    {"U8", 1, std::nullopt},
    {"I16", 2, std::nullopt},
    {"U16", 2, std::nullopt},
    {"I32", 4, std::nullopt},
    {"U32", 4, std::nullopt},
    {"I64", 8, std::nullopt},
    {"U64", 8, std::nullopt},
}};

absl::Status TensorError(std::string_view name, const auto&... what) {
  return absl::InvalidArgumentError(absl::StrCat("tensor \"", ToAbsl(name), "\": ", what...));
}

absl::StatusOr<uint64_t> Unsigned(const json::value& value, std::string_view name, std::string_view what) {
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<uint64_t>(value.get_int64());
  return TensorError(name, ToAbsl(what), " must be an integer from 0 to 2^63 - 1");
}

absl::StatusOr<TensorInfo> ParseTensor(std::string_view name, const json::value& value, uint64_t data_begin,
                                       uint64_t data_bytes) {
  if (name.size() > kMaxNameBytes) return absl::InvalidArgumentError("a tensor's name is over 4,096 bytes long");
  const json::object* entry = value.if_object();
  if (entry == nullptr) return TensorError(name, "must be an object with dtype, shape and data_offsets");
  const json::value* dtype = entry->if_contains("dtype");
  const json::value* shape = entry->if_contains("shape");
  const json::value* offsets = entry->if_contains("data_offsets");
  if (dtype == nullptr || !dtype->is_string()) return TensorError(name, "needs a \"dtype\" string");
  if (shape == nullptr || !shape->is_array()) return TensorError(name, "needs a \"shape\" array");
  if (offsets == nullptr || !offsets->is_array() || offsets->get_array().size() != 2) {
    return TensorError(name, "needs \"data_offsets\" of two numbers");
  }

  TensorInfo tensor;
  tensor.name = name;
  const json::string& dtype_name = dtype->get_string();
  tensor.dtype_name.assign(dtype_name.data(), dtype_name.size());
  const auto format = std::find_if(kFormats.begin(), kFormats.end(),
                                   [&](const StorageFormat& known) { return known.name == tensor.dtype_name; });
  if (format == kFormats.end()) return TensorError(name, "unknown dtype \"", tensor.dtype_name, "\"");
  tensor.dtype = format->dtype;

  if (shape->get_array().size() > kMaxDimensions) return TensorError(name, "has more than 8 dimensions");
  uint64_t expected_bytes = static_cast<uint64_t>(format->bytes);
  for (const json::value& dimension : shape->get_array()) {
    ASSIGN_OR_RETURN(const uint64_t extent, Unsigned(dimension, name, "a dimension of the shape"));
    if (__builtin_mul_overflow(expected_bytes, extent, &expected_bytes)) {
      return TensorError(name, "the size of its shape overflows 64 bits");
    }
    tensor.shape.push_back(static_cast<int64_t>(extent));
  }
  ASSIGN_OR_RETURN(const uint64_t begin, Unsigned(offsets->get_array()[0], name, "data_offsets"));
  ASSIGN_OR_RETURN(const uint64_t end, Unsigned(offsets->get_array()[1], name, "data_offsets"));
  if (begin > end || end > data_bytes) {
    return TensorError(name, "data_offsets [", begin, ", ", end, "] lie outside the ", data_bytes,
                       " bytes of data in the file (is it truncated?)");
  }
  if (end - begin != expected_bytes) {
    return TensorError(name, tensor.dtype_name, " ", tensor.ShapeString(), " takes ", expected_bytes,
                       " bytes, data_offsets span ", end - begin);
  }
  tensor.offset = data_begin + begin;
  tensor.bytes = end - begin;
  return tensor;
}

absl::Status CheckMetadata(const json::value& metadata) {
  const json::object* entries = metadata.if_object();
  if (entries == nullptr) return absl::InvalidArgumentError("\"__metadata__\" must be an object of strings");
  for (const auto& entry : *entries) {
    if (!entry.value().is_string()) return absl::InvalidArgumentError("\"__metadata__\" must be an object of strings");
  }
  return absl::OkStatus();
}

}  // namespace

std::string TensorInfo::ShapeString() const {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<uint64_t> SafetensorsHeaderBytes(std::string_view first_8_bytes, uint64_t file_bytes) {
  static_assert(std::endian::native == std::endian::little);
  if (first_8_bytes.size() < 8 || file_bytes < 8) {
    return absl::InvalidArgumentError(absl::StrCat("has ", file_bytes, " bytes, too short for a safetensors file"));
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, first_8_bytes.data(), 8);
  if (header_bytes > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("announces a header of ", header_bytes, " bytes; at most ",
                                                   kMaxSafetensorsHeaderBytes,
                                                   " are allowed (not a safetensors file?)"));
  }
  if (header_bytes > file_bytes - 8) {
    return absl::InvalidArgumentError(
        absl::StrCat("announces a header of ", header_bytes, " bytes, the file has ", file_bytes, " (truncated?)"));
  }
  return header_bytes;
}

absl::StatusOr<std::vector<TensorInfo>> ParseSafetensorsHeader(std::string_view header, uint64_t file_bytes) {
  if (header.empty() || header.front() != '{') return absl::InvalidArgumentError("the header does not begin with '{'");
  ASSIGN_OR_RETURN(const json::value value, ParseStrictJson(header));
  const json::object& entries = value.get_object();
  const uint64_t data_begin = 8 + header.size();
  const uint64_t data_bytes = file_bytes - data_begin;

  std::vector<TensorInfo> tensors;
  tensors.reserve(entries.size());
  for (const auto& entry : entries) {
    const std::string_view name(entry.key().data(), entry.key().size());
    if (name == "__metadata__") {
      RETURN_IF_ERROR(CheckMetadata(entry.value()));
      continue;
    }
    ASSIGN_OR_RETURN(TensorInfo tensor, ParseTensor(name, entry.value(), data_begin, data_bytes));
    tensors.push_back(std::move(tensor));
  }

  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.offset, a.offset + a.bytes) < std::pair(b.offset, b.offset + b.bytes);
  });
  uint64_t next = data_begin;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.offset < next) {
      return TensorError(tensor.name, "begins at byte ", tensor.offset - data_begin,
                         " of the data, inside the tensor before it, which ends at ", next - data_begin);
    }
    if (tensor.offset > next) {
      return TensorError(tensor.name, "begins at byte ", tensor.offset - data_begin, " of the data; expected ",
                         next - data_begin, ": bytes between belong to no tensor");
    }
    next = tensor.offset + tensor.bytes;
  }
  if (next != file_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("the tensors end at byte ", next, ", the file has ", file_bytes));
  }
  return tensors;
}

}  // namespace swiftlet
