// Rotary frequencies of a model, and the cosines and sines of the rows of a step.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/model_config.h"

namespace swiftlet {

// [head_dim / 2] angles per position, in radians, with llama3 scaling applied.
std::vector<float> RopeFrequencies(const RopeConfig& rope, int32_t head_dim);

// cos_sin[0 .. n) = cos(position f), cos_sin[n .. 2n) = sin(position f), n = frequencies.size(). The product is taken
// in float32, as the models were trained with.
void FillCosSin(const std::vector<float>& frequencies, int32_t position, float* cos_sin);

}  // namespace swiftlet
