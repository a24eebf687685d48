// Intra-operator passes: a block's operator graph -> the local program of one rank.
//
// tensor_parallel lays the graph out as a list of steps with its shards and collectives; the passes after it rewrite
// that list. local_program composes them in the order tensor, context, expert.
#pragma once

#include "sim/graph/layer_program.h"
#include "sim/model/model.h"
#include "strategies/strategy.h"

namespace echelon {

// Megatron's tensor parallelism (arXiv:1909.08053), with sequence parallelism (arXiv:2205.05198, section 4.2) where
// asked: column-split linears gather their input (sequence parallel) or reduce its gradient, row-split linears reduce
// their output; pointwise work between the two is divided by width, the rest by tokens under sequence parallelism.
LayerProgram tensor_parallel(const Block& block, const Strategy& strategy);

// Operators of a graph, each divided over the tensor group as its shard says (Shard, sim/model/operator.h), with the
// collectives that bring tensors from the layout of their producer to that of their reader.
LayerProgram graph_parallel(const Block& block, const Strategy& strategy);

// Tensor parallelism in two or two and a half dimensions (TensorMode): tokens and features of every tensor divided over
// a grid of ranks, weights in its blocks, products in as many turns as the grid has columns. What is sent for a layer
// of hidden size h on b s tokens is (7 b s h / d + 12 h^2) / q elements by each rank forward and twice that backward
// (arXiv:2104.05343, table 1, d = 1), beside norms, biases and the sum of gradients over d layers of the grid.
LayerProgram grid_parallel(const Block& block, const TensorGrid& grid);

// Attention over a sequence that cp ranks share, by Strategy::context_exchange. Tokens are divided by the caller
// (tokens of a rank = micro-batch * sequence / cp).
void context_parallel(LayerProgram& program, const Strategy& strategy);
// Ranks that trade heads for sequence; 1: none do.
std::int64_t context_all_to_all_ranks(const Strategy& strategy);

// Expert parallelism (arXiv:2006.16668): experts divided over ep ranks, tokens sent to them and back by all-to-all.
// What the busiest rank gets over the mean lengthens its operators and exchanges.
void expert_parallel(LayerProgram& program, const Strategy& strategy);
// That ratio for a layer of so many experts.
double expert_imbalance(const Strategy& strategy, std::int64_t experts);

// Share of the copies of tokens for `experts` experts that find room in them: less than 1 where more come to one than
// its capacity, as many as are drawn, or one rank's imbalance and the same for all others.
double kept_copies(const Strategy& strategy, std::int64_t experts);

// Whether the host waits in every forward pass of experts until the device has counted their tokens: it cuts the
// exchanges and the experts' products to those counts. A capacity fixes them; a graph of the whole iteration has room
// for the most. Beside another micro-batch's compute the device has that to run meanwhile. Megatron-Core's
// token_dispatcher.py has cuda_sync_point, no_sync where experts are padded to a capacity; DeepEP and HybridEP return
// the number of tokens they received (pytorch/torchtitan pull request 2207: a stream synchronisation after each
// dispatch).
bool waits_for_token_counts(const Strategy& strategy);

// Takes the tables' operators, with what tensor ranks exchange for them, out of an embedding's or a head's program:
// one share of them where `ranks` pipeline ranks divide the vocabulary (arXiv:2411.05288).
LayerProgram take_vocabulary_share(LayerProgram& program, std::int64_t ranks);

LayerProgram local_program(const Block& block, const Strategy& strategy);

}  // namespace echelon
