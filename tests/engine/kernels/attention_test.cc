#include "engine/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "tests/engine/kernels/table_driver.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

// One layer: rotation, cache and attention of one sequence, cut into chunks; the result goes through an identity.
class AttentionDriver {
 public:
  AttentionDriver(const KernelTable& table, const AttentionShape& shape, int threads, uint32_t seed)
      : driver_(table, threads), shape_(shape), page_bytes_(table.kv_page_bytes(shape.head_dim)) {
    pages_.resize(16);
    std::iota(pages_.begin(), pages_.end(), 0);
    std::shuffle(pages_.begin(), pages_.end(), std::mt19937(seed));
    cache_ = *Buffer::Allocate(page_bytes_ * shape.num_kv_heads * pages_.size());
    std::memset(cache_.data(), 0xff, cache_.size());  // NaN in every format: what former owners may leave
    Matrix identity(width(), width());
    for (int32_t i = 0; i < width(); ++i) identity.row(i)[i] = 1;
    identity_ = driver_.Pack(identity);
  }

  int32_t width() const { return shape_.num_heads * shape_.head_dim; }

  Matrix Run(const Matrix& qkv, const Matrix& cos_sin, const Matrix* norms, const std::vector<int32_t>& chunks) {
    Matrix result(qkv.rows, width());
    int32_t position = 0;
    for (const int32_t chunk : chunks) {
      Matrix part(chunk, qkv.columns);
      part.values.assign(qkv.row(position), qkv.row(position) + part.values.size());
      const SequenceRows sequence{.first_row = 0, .num_rows = chunk, .first_position = position, .pages = pages_};
      const KvLayerView kv{.base = cache_.data(),
                           .page_stride_bytes = static_cast<int64_t>(page_bytes_) * shape_.num_kv_heads,
                           .head_stride_bytes = static_cast<int64_t>(page_bytes_)};
      driver_.table().rope_kv({.shape = shape_,
                               .qkv = part.values.data(),
                               .sequences = {&sequence, 1},
                               .cos_sin = cos_sin.row(position),
                               .query_norm = norms == nullptr ? nullptr : norms->row(0),
                               .key_norm = norms == nullptr ? nullptr : norms->row(1),
                               .norm_epsilon = 1e-6f,
                               .kv = kv},
                              driver_.pool());
      const PackedRows attended = driver_.Rows(chunk, width(), true);
      driver_.table().attention(
          {.shape = shape_, .qkv = part.values.data(), .sequences = {&sequence, 1}, .kv = kv, .output = attended},
          driver_.pool());
      const Matrix output = driver_.Linear(attended, identity_);
      std::copy(output.values.begin(), output.values.end(), result.row(position));
      position += chunk;
    }
    return result;
  }

 private:
  TableDriver driver_;
  const AttentionShape shape_;
  const size_t page_bytes_;
  std::vector<int32_t> pages_;
  Buffer cache_;
  LinearWeight identity_;
};

Matrix Rotations(int32_t positions, int32_t head_dim) {
  Matrix cos_sin(positions, head_dim);
  for (int32_t p = 0; p < positions; ++p) {
    for (int32_t i = 0; i < head_dim / 2; ++i) {
      cos_sin.row(p)[i] = std::cos(p * std::pow(0.5f, i));
      cos_sin.row(p)[i + head_dim / 2] = std::sin(p * std::pow(0.5f, i));
    }
  }
  return cos_sin;
}

using Shapes = std::vector<AttentionShape>;

TEST(Attention, AgreesWithTheOracleForEveryHeadShape) {
  std::mt19937 random(1);
  const KernelTable& oracle_table = **ChooseKernels(Backend::kReference, DType::kFloat32);
  const auto shapes =
      tests::Effort<Shapes>({{1, 1, 32}, {6, 2, 48}, {7, 1, 80}, {4, 4, 112}, {12, 2, 128}, {14, 1, 64}, {2, 1, 256}},
                            {{1, 1, 32}, {6, 2, 48}, {3, 1, 80}, {2, 2, 112}, {2, 1, 256}});
  for (const AttentionShape& shape : shapes) {
    const int32_t positions = tests::Effort(150, 70);  // more than a page
    const Matrix qkv = RandomMatrix(positions, (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim, random);
    const Matrix norms = RandomMatrix(2, shape.head_dim, random);
    const Matrix cos_sin = Rotations(positions, shape.head_dim);
    for (const Matrix* norm : {static_cast<const Matrix*>(nullptr), &norms}) {
      AttentionDriver oracle(oracle_table, shape, 1, 1);
      const Matrix expected = oracle.Run(qkv, cos_sin, norm, {positions});
      for (const NamedTable& named : SimdTables()) {
        AttentionDriver driver(named.table, shape, 2, 2);
        const Matrix found = driver.Run(qkv, cos_sin, norm, {positions});
        // float16 keys: scores of about 10 are off by about 10 / 2^11, which is the relative error of a weight.
        const float tolerance = named.table.dtype == DType::kFloat32 ? 1e-4f : 2e-2f;
        for (size_t i = 0; i < expected.values.size(); ++i) {
          ASSERT_NEAR(found.values[i], expected.values[i], tolerance)
              << named.name << ", heads " << shape.num_heads << ", head_dim " << shape.head_dim << ", element " << i;
        }
      }
    }
  }
  std::printf("%d head shapes\n", static_cast<int>(shapes.size()));
}

TEST(Attention, ResultIsTheSameHoweverTheSequenceIsCut) {
  std::mt19937 random(2);
  const auto shapes = tests::Effort<Shapes>({{6, 2, 48}, {7, 1, 80}, {12, 2, 128}}, {{6, 2, 48}, {3, 1, 80}});
  for (const NamedTable& named : SimdTables()) {
    for (const AttentionShape& shape : shapes) {
      const int32_t positions = tests::Effort(200, 130);
      const Matrix qkv = RandomMatrix(positions, (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim, random);
      const Matrix cos_sin = Rotations(positions, shape.head_dim);
      AttentionDriver one_by_one(named.table, shape, 1, 1);
      const Matrix expected = one_by_one.Run(qkv, cos_sin, nullptr, std::vector<int32_t>(positions, 1));
      const int rounds = tests::Effort(4, 2);
      std::printf("%d positions cut %d times\n", positions, rounds);
      for (int round = 0; round < rounds; ++round) {
        std::vector<int32_t> chunks;
        for (int32_t left = positions; left > 0; left -= chunks.back()) {
          chunks.push_back(std::min<int32_t>(left, 1 + random() % (round == 0 ? 200 : 90)));
        }
        AttentionDriver driver(named.table, shape, 1 + round, round);
        const Matrix found = driver.Run(qkv, cos_sin, nullptr, chunks);
        ASSERT_TRUE(SameBits(found.values.data(), expected.values.data(), found.values.size()))
            << named.name << ", head_dim " << shape.head_dim << ", round " << round;
      }
    }
  }
}

}  // namespace
}  // namespace swiftlet
