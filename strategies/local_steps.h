// Infrequent synchronisation of groups of data-parallel ranks that train apart (Mesh::local_groups).
//
//   local SGD         the mean of the parameters, every so many steps (arXiv:1805.09767)
//   DiLoCo            a step of an outer optimizer along the mean difference from the last time (arXiv:2311.08105)
//   Streaming DiLoCo  the model in fragments of layers, each at its own steps of a round, its exchange behind later
//                     inner steps, in few bits (arXiv:2501.18512)
#pragma once

#include <cstdint>

#include "sim/base/enum_names.h"
#include "sim/base/units.h"

namespace echelon {

// What makes one model of what the groups have learnt apart.
enum class OuterOptimizer {
  average,  // their parameters' mean (local SGD)
  nesterov  // a step along their mean difference from the parameters of the last synchronisation, with Nesterov
            // momentum (DiLoCo, algorithm 1)
};

template <>
inline constexpr auto enum_names<OuterOptimizer> = std::to_array<EnumName<OuterOptimizer>>({
    {OuterOptimizer::average, "average"},
    {OuterOptimizer::nesterov, "nesterov"},
});

// Which layers make a fragment (Streaming DiLoCo, figure 2).
enum class FragmentPattern {
  strided,    // layer i lies in fragment i modulo their number
  sequential  // runs of neighbours
};

template <>
inline constexpr auto enum_names<FragmentPattern> = std::to_array<EnumName<FragmentPattern>>({
    {FragmentPattern::strided, "strided"},
    {FragmentPattern::sequential, "sequential"},
});

// How what is exchanged travels (Streaming DiLoCo, figure 11).
enum class OuterFormat {
  as_gradients,  // as gradients are reduced
  fp32,
  bf16,
  fp8,
  e3m0  // 4 bits: a sign and three of exponent
};

template <>
inline constexpr auto enum_names<OuterFormat> = std::to_array<EnumName<OuterFormat>>({
    {OuterFormat::as_gradients, "as_gradients"},
    {OuterFormat::fp32, "fp32"},
    {OuterFormat::bf16, "bf16"},
    {OuterFormat::fp8, "fp8"},
    {OuterFormat::e3m0, "e3m0"},
});

// What of a synchronisation an iteration holds. `update` is all but its exchange, which runs behind iterations.
enum class RoundPart { nothing, update, all };

struct LocalSteps {
  std::int64_t every = 1;  // optimizer steps from one synchronisation of a parameter to its next (H)
  OuterOptimizer optimizer = OuterOptimizer::nesterov;
  std::int64_t fragments = 1;  // of the model (P), synchronised at even distances in a round
  FragmentPattern pattern = FragmentPattern::strided;
  std::int64_t delay = 0;  // steps from sending a fragment to using what came back (tau); 0 = training waits for it
  OuterFormat format = OuterFormat::as_gradients;
  // Whoever simulates: what this iteration holds of a synchronisation, and of which fragment.
  RoundPart part = RoundPart::all;
  std::int64_t fragment = 0;
};

// The fragment of a layer of a model, counted from 0. Embedding and output layer lie with the first and the last.
std::int64_t fragment_of(const LocalSteps& steps, std::int64_t layer, std::int64_t layers);

// The step of a round, from 0, after which a fragment is sent.
std::int64_t step_of(const LocalSteps& steps, std::int64_t fragment);

// Fragments under way at once, at most; 0 where training waits for each.
std::int64_t fragments_in_flight(const LocalSteps& steps);

// An element as it travels; scales that a format shares out are not counted. `gradient`: as gradients are reduced.
Bytes exchanged_size(OuterFormat format, Bytes gradient);

}  // namespace echelon
