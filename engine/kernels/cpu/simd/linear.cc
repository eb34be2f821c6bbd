#include "engine/kernels/linear.h"

#include <algorithm>
#include <array>

#include "engine/base/check.h"
#include "engine/kernels/cpu/simd/layout.h"
#include "engine/kernels/cpu/simd/operations.h"
#include "engine/kernels/cpu/simd/pack.h"
#include "engine/kernels/cpu/simd/parallel.h"
#include "engine/kernels/cpu/simd/row_ops.h"

namespace swiftlet::simd {
namespace {

constexpr int32_t kMaxGroupPanels = 4;  // of one task
constexpr int32_t kGroupColumns = kMaxGroupPanels * kPanel;
// Rows whose partial sums a task holds: with 4 panels 48 KiB, which stay in L2 beside the chunk of weights.
constexpr int32_t kSuperBlockRows = 96;
// A chunk of the summed dimension, such that the rows of one block stay in L1 while 4 panels pass over them.
constexpr int64_t kChunkBytes = 24 << 10;
// Weights of one task: about 10 us of memory time, so that threads of unequal speed end together.
constexpr int64_t kTaskBytes = 192 << 10;

int64_t ChunkUnits(int32_t num_rows) {
  return kChunkBytes / (static_cast<int64_t>(sizeof(uint32_t)) * std::min(num_rows, kRowBlock));
}

int32_t GroupPanels(int64_t units, int32_t num_rows) {
  if (num_rows > kSuperBlockRows) return kMaxGroupPanels;
  const int64_t panel_bytes = units * kPanel * static_cast<int64_t>(sizeof(uint32_t));
  return static_cast<int32_t>(std::clamp<int64_t>(kTaskBytes / panel_bytes, 1, kMaxGroupPanels));
}

// Tasks of a multiplication: a group of panels times a super block of rows, groups outside, so that threads at work at
// the same time share weights.
struct TaskGrid {
  int32_t out_features;
  int64_t panels;
  int32_t group_panels;
  int64_t groups;
  int32_t layout_rows;
  int32_t super_blocks;

  TaskGrid(int32_t out_features, int32_t group_panels, int32_t layout_rows)
      : out_features(out_features),
        panels(PanelsOf(out_features)),
        group_panels(group_panels),
        groups((panels + group_panels - 1) / group_panels),
        layout_rows(layout_rows),
        super_blocks((layout_rows + kSuperBlockRows - 1) / kSuperBlockRows) {}

  int64_t tasks() const { return groups * super_blocks; }

  struct Task {
    int64_t first_panel;
    int32_t num_panels;
    int64_t first_column;
    int64_t num_columns;  // without those that pad the last panel
    int32_t first_row;    // of the layout
    int32_t num_rows;
  };
  Task At(int64_t index) const {
    const int64_t first_panel = index / super_blocks * group_panels;
    const auto num_panels = static_cast<int32_t>(std::min<int64_t>(group_panels, panels - first_panel));
    const int64_t first_column = first_panel * kPanel;
    const int32_t first_row = static_cast<int32_t>(index % super_blocks) * kSuperBlockRows;
    return {.first_panel = first_panel,
            .num_panels = num_panels,
            .first_column = first_column,
            .num_columns = std::min<int64_t>(num_panels * kPanel, out_features - first_column),
            .first_row = first_row,
            .num_rows = std::min(kSuperBlockRows, layout_rows - first_row)};
  }
};

double EstimateNs(int64_t units, int64_t panels, int32_t num_rows) {
  const double bytes = static_cast<double>(units * panels) * kPanel * sizeof(uint32_t);
  return bytes * (0.04 + 0.01 * num_rows);  // 25 GB/s, 100 bytes x rows a ns: the order of magnitude is enough
}

// Panels [first_panel, first_panel + num_panels) of a weight, and where their sums go in the scratch rows.
struct Columns {
  const LinearWeight* weight;
  int64_t first_panel;
  int32_t num_panels;
  int32_t scratch_column;
};

// Sums of layout rows [first_row, first_row + num_rows) of `input`, first_row a multiple of 12, into
// scratch[num_rows][128].
template <typename Format, size_t N>
void MultiplyInto(float* scratch, const PackedRows& input, int64_t units, int32_t first_row, int32_t num_rows,
                  const std::array<Columns, N>& columns) {
  const int64_t chunk = ChunkUnits(num_rows);
  for (int64_t begin = 0; begin < units; begin += chunk) {
    for (int32_t row = 0; row < num_rows; row += kRowBlock) {
      const UnitRow block = RowOf(Format::kDType, input, first_row + row);
      for (const Columns& part : columns) {
        const int64_t panel_stride = units * kPanel;
        Format::Multiply({.a = block.data + begin * block.stride,
                          .a_stride = block.stride,
                          .num_rows = static_cast<int32_t>(block.stride),
                          .panels = part.weight->data.as<uint32_t>() + part.first_panel * panel_stride + begin * kPanel,
                          .panel_stride = panel_stride,
                          .num_panels = part.num_panels,
                          .units = std::min(chunk, units - begin),
                          .c = scratch + row * kGroupColumns + part.scratch_column,
                          .c_stride = kGroupColumns,
                          .resume = begin > 0});
      }
    }
  }
}

const float* BiasAt(const LinearWeight& weight, int64_t column) {
  return weight.bias.empty() ? nullptr : weight.bias.data() + column;
}

}  // namespace

template <typename Format>
size_t Operations<Format>::LinearWeightBytes(int32_t out_features, int32_t in_features) {
  return sizeof(uint32_t) * kPanel * PanelsOf(out_features) * UnitsOf(Format::kDType, in_features);
}

template <typename Format>
size_t Operations<Format>::PackedRowsBytes(int32_t num_rows, int32_t columns, bool precise) {
  return sizeof(uint32_t) * num_rows * LayoutRowsPerRow(Format::kDType, precise) * UnitsOf(Format::kDType, columns);
}

template <typename Format>
void Operations<Format>::PackWeight(const PackWeightArgs& args) {
  const int64_t columns = args.weight->in_features;
  const int64_t units = UnitsOf(Format::kDType, columns);
  uint32_t* const data = args.weight->data.template as<uint32_t>();
  // Same format: units are copied as they lie. 16 units at a time of all rows, so that both sides stay in cache.
  const bool copy = args.dtype == Format::kDType && columns % ColumnsPerUnit(Format::kDType) == 0;
  constexpr int64_t kTileUnits = 16;
  for (int64_t tile = 0; tile < units; tile += kTileUnits) {
    const int64_t tile_end = std::min(tile + kTileUnits, units);
    for (int32_t i = 0; i < args.num_rows; ++i) {
      const int32_t row = args.first_row + i;
      uint32_t* const lane = data + row / kPanel * units * kPanel + row % kPanel;
      if (copy) {
        const std::byte* source = args.source + (i * units + tile) * static_cast<int64_t>(sizeof(uint32_t));
        for (int64_t unit = tile; unit < tile_end; ++unit, source += sizeof(uint32_t)) {
          std::memcpy(lane + unit * kPanel, source, sizeof(uint32_t));
        }
      } else {
        float values[kTileUnits * 2];
        const int64_t begin = tile * ColumnsPerUnit(Format::kDType);
        const int64_t count = std::min(columns, tile_end * ColumnsPerUnit(Format::kDType)) - begin;
        for (int64_t c = 0; c < count; ++c) values[c] = LoadAsFloat(args.source, args.dtype, i * columns + begin + c);
        PackColumns<Format::kDType>(values, count, lane + tile * kPanel, kPanel);
      }
    }
  }
}

template <typename Format>
void Operations<Format>::Embedding(const EmbeddingArgs& args, ThreadPool& pool) {
  const int64_t columns = args.weight->in_features;
  const int64_t units = UnitsOf(Format::kDType, columns);
  const uint32_t* data = args.weight->data.template as<uint32_t>();
  // Every unit is a cache line of its own.
  ParallelFor(pool, args.num_rows, 10.0 * static_cast<double>(units * args.num_rows), [&](int64_t row) {
    const int32_t id = args.token_ids[row];
    UnpackColumns<Format::kDType>(data + id / kPanel * units * kPanel + id % kPanel, kPanel,
                                  args.hidden + row * columns, columns);
  });
}

template <typename Format>
void Operations<Format>::Linear(const LinearArgs& args, ThreadPool& pool) {
  const LinearWeight& weight = *args.weight;
  CHECK(args.input.columns == weight.in_features)
      << "columns " << args.input.columns << ", in_features " << weight.in_features;
  const int64_t units = UnitsOf(Format::kDType, weight.in_features);
  const int32_t per_row = LayoutRowsPerRow(Format::kDType, args.input.precise);
  const int32_t layout_rows = args.input.num_rows * per_row;
  const TaskGrid grid(weight.out_features, GroupPanels(units, layout_rows), layout_rows);
  ParallelFor(pool, grid.tasks(), EstimateNs(units, grid.panels, layout_rows), [&](int64_t index) {
    alignas(64) [[gnu::uninitialized]] float scratch[kSuperBlockRows * kGroupColumns];
    const TaskGrid::Task task = grid.At(index);
    MultiplyInto<Format>(scratch, args.input, units, task.first_row, task.num_rows,
                         std::array{Columns{&weight, task.first_panel, task.num_panels, 0}});
    for (int32_t row = 0; row < task.num_rows; row += per_row) {
      float* const sums = scratch + row * kGroupColumns;
      if (per_row == 2) Add(sums, sums + kGroupColumns, task.num_columns);
      FinishLinear(sums, BiasAt(weight, task.first_column), args.accumulate,
                   args.output + (task.first_row + row) / per_row * args.output_stride + task.first_column,
                   task.num_columns);
    }
  });
}

template <typename Format>
void Operations<Format>::Swiglu(const SwigluArgs& args, ThreadPool& pool) {
  const LinearWeight& gate = *args.gate;
  const LinearWeight& up = *args.up;
  CHECK(args.input.columns == gate.in_features && args.output.columns == gate.out_features)
      << "columns " << args.input.columns << " to " << args.output.columns << ", weights " << gate.in_features << " to "
      << gate.out_features;
  const int64_t units = UnitsOf(Format::kDType, gate.in_features);
  const int32_t per_row = LayoutRowsPerRow(Format::kDType, args.input.precise);
  const int32_t layout_rows = args.input.num_rows * per_row;
  const TaskGrid grid(gate.out_features, (GroupPanels(units, layout_rows) + 1) / 2, layout_rows);
  ParallelFor(pool, grid.tasks(), EstimateNs(units, 2 * grid.panels, layout_rows), [&](int64_t index) {
    alignas(64) [[gnu::uninitialized]] float scratch[kSuperBlockRows * kGroupColumns];
    const TaskGrid::Task task = grid.At(index);
    MultiplyInto<Format>(scratch, args.input, units, task.first_row, task.num_rows,
                         std::array{Columns{&gate, task.first_panel, task.num_panels, 0},
                                    Columns{&up, task.first_panel, task.num_panels, kGroupColumns / 2}});
    for (int32_t row = 0; row < task.num_rows; row += per_row) {
      float* const values = scratch + row * kGroupColumns;
      if (per_row == 2) Add(values, values + kGroupColumns, kGroupColumns);
      SiluMultiply(values, values + kGroupColumns / 2, BiasAt(gate, task.first_column), BiasAt(up, task.first_column),
                   task.num_columns);
      StoreColumns<Format::kDType>(args.output, (task.first_row + row) / per_row, task.first_column, values,
                                   task.num_columns);
    }
  });
}

#define SWIFTLET_INSTANTIATE(Format)                                              \
  template size_t Operations<Format>::LinearWeightBytes(int32_t, int32_t);        \
  template size_t Operations<Format>::PackedRowsBytes(int32_t, int32_t, bool);    \
  template void Operations<Format>::PackWeight(const PackWeightArgs&);            \
  template void Operations<Format>::Embedding(const EmbeddingArgs&, ThreadPool&); \
  template void Operations<Format>::Linear(const LinearArgs&, ThreadPool&);       \
  template void Operations<Format>::Swiglu(const SwigluArgs&, ThreadPool&);
SWIFTLET_INSTANTIATE(BFloat16Dot)
SWIFTLET_INSTANTIATE(BFloat16Portable)
SWIFTLET_INSTANTIATE(Float32)

}  // namespace swiftlet::simd
