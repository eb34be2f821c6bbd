#include "engine/kernels/cuda/linear_table.h"

namespace swiftlet::cuda {

const char kLinearTableH200[] = "";

}  // namespace swiftlet::cuda
