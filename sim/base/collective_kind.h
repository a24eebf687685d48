// The operations of a communicator.
#pragma once

#include "sim/base/enum_names.h"

namespace echelon {

enum class CollectiveKind { all_reduce, all_gather, reduce_scatter, broadcast, reduce, all_to_all, send_receive };

template <>
inline constexpr auto enum_names<CollectiveKind> = std::to_array<EnumName<CollectiveKind>>({
    {CollectiveKind::all_reduce, "all_reduce"},
    {CollectiveKind::all_gather, "all_gather"},
    {CollectiveKind::reduce_scatter, "reduce_scatter"},
    {CollectiveKind::broadcast, "broadcast"},
    {CollectiveKind::reduce, "reduce"},
    {CollectiveKind::all_to_all, "all_to_all"},
    {CollectiveKind::send_receive, "send_receive"},
});

}  // namespace echelon
