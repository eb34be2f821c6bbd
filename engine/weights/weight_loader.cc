#include "engine/weights/weight_loader.h"

#include <array>
#include <memory>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace swiftlet {

// One thread's: a staging buffer of about a megabyte, packed from at once.
class WeightLoader::Packer final : public SliceConsumer {
 public:
  explicit Packer(const WeightLoader& loader) : loader_(loader) {}

  absl::StatusOr<std::span<std::byte>> Staging(uint64_t bytes) override {
    if (staging_.size() < bytes) staging_.resize(bytes);
    return std::span(staging_).first(bytes);
  }

  absl::Status Consume(const TensorSlice& slice, std::span<const std::byte> bytes) override {
    const Target& target = loader_.targets_[slice.target];
    const DType dtype = *slice.tensor->dtype;
    if (target.weight != nullptr) {
      loader_.kernels_.pack_weight({.weight = target.weight,
                                    .first_row = target.first_row + slice.first_row,
                                    .num_rows = slice.num_rows,
                                    .source = bytes.data(),
                                    .dtype = dtype});
    } else {
      for (int32_t i = 0; i < slice.num_rows; ++i) target.vector[i] = LoadAsFloat(bytes.data(), dtype, i);
    }
    return absl::OkStatus();
  }

  absl::Status Finish() override { return absl::OkStatus(); }

 private:
  const WeightLoader& loader_;
  std::vector<std::byte> staging_;
};

absl::Status WeightLoader::AddMatrix(std::string_view name, LinearWeight& weight, int32_t first_row, int32_t num_rows) {
  CHECK(first_row >= 0 && num_rows >= 0 && first_row + num_rows <= weight.out_features)
      << name << " rows " << first_row << " + " << num_rows << " of " << weight.out_features;
  RETURN_IF_ERROR(reader_.Add(name, std::array<int64_t, 2>{num_rows, weight.in_features}).status());
  targets_.push_back({.weight = &weight, .first_row = first_row});
  return absl::OkStatus();
}

absl::Status WeightLoader::AddVector(std::string_view name, std::span<float> into) {
  RETURN_IF_ERROR(reader_.Add(name, std::array<int64_t, 1>{static_cast<int64_t>(into.size())}).status());
  targets_.push_back({.vector = into.data()});
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> WeightLoader::Load(ThreadPool& pool, const LoadProgress& progress) {
  return reader_.Load(pool, progress, [this] { return std::make_unique<Packer>(*this); });
}

}  // namespace swiftlet
