#include "engine/model/rope.h"

#include <cmath>
#include <numbers>

namespace swiftlet {

std::vector<float> RopeFrequencies(const RopeConfig& rope, int32_t head_dim) {
  std::vector<float> frequencies(head_dim / 2);
  for (int32_t i = 0; i < head_dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    float frequency = 1.0f / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.llama3) {
      // Wavelengths that fit the original context often stay, those that never fitted are stretched by `factor`, those
      // between are blended (Llama 3.1 model card; config keys of rope_type "llama3").
      const double wavelength = 2 * std::numbers::pi / frequency;
      const double turns = rope.original_max_position / wavelength;
      if (turns < rope.low_freq_factor) {
        frequency = static_cast<float>(frequency / rope.factor);
      } else if (turns <= rope.high_freq_factor) {
        const double blend = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        frequency = static_cast<float>((1 - blend) * frequency / rope.factor + blend * frequency);
      }
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

void FillCosSin(const std::vector<float>& frequencies, int32_t position, float* cos_sin) {
  const size_t half = frequencies.size();
  for (size_t i = 0; i < half; ++i) {
    const float angle = static_cast<float>(position) * frequencies[i];
    cos_sin[i] = std::cos(angle);
    cos_sin[i + half] = std::sin(angle);
  }
}

}  // namespace swiftlet
