// Number formats that tensors and matrix units use.
#pragma once

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

enum class DataType { fp32, tf32, fp16, bf16, fp8, mxfp8, nvfp4, int8 };

template <>
inline constexpr auto enum_names<DataType> = std::to_array<EnumName<DataType>>({
    {DataType::fp32, "fp32"},
    {DataType::tf32, "tf32"},
    {DataType::fp16, "fp16"},
    {DataType::bf16, "bf16"},
    {DataType::fp8, "fp8"},
    {DataType::mxfp8, "mxfp8"},
    {DataType::nvfp4, "nvfp4"},
    {DataType::int8, "int8"},
});
inline constexpr std::size_t data_type_count = 8;

// Storage of one element, scales included: mxfp8 has one byte of scale for 32 elements, nvfp4 one for 16
// (OCP Microscaling Formats v1.0, section 5; NVIDIA Blackwell architecture brief for nvfp4).
constexpr Bytes element_size(DataType type) {
  switch (type) {
    case DataType::fp32:
    case DataType::tf32:
      return Bytes(4);
    case DataType::fp16:
    case DataType::bf16:
      return Bytes(2);
    case DataType::fp8:
    case DataType::int8:
      return Bytes(1);
    case DataType::mxfp8:
      return Bytes(1 + 1.0 / 32);
    case DataType::nvfp4:
      return Bytes(0.5 + 1.0 / 16);
  }
  return Bytes(0);
}

}  // namespace echelon
