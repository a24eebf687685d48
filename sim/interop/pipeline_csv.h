// Pipeline schedules in the CSV grammar of torch.distributed.pipelining: a line a rank, a cell an action, an empty cell
// an idle slot.
//
//   action     stage TYPE micro-batch        0F3  7I0  7W0  7B0     (stage: global number; micro-batch may be "3.1",
//                                                                    the slice 1 of a sequence)
//   TYPE       F forward, I input gradient, W weight gradient, B both; SEND_F RECV_F SEND_B RECV_B messages; UNSHARD
//              RESHARD REDUCE_GRAD without a micro-batch
//   pair       (0F3;7B1)OVERLAP_F_B          two actions that run together
//
// A divided vocabulary (strategies/pipeline/vocabulary.h) is beyond that grammar: 2S0 and 2T0 are rank 2's passes of
// the output layer, 2E0 and 2G0 those of the embedding, and a line "# vocabulary_parallel: vocab_1" says what they wait
// for.
//
// PyTorch's older files write B for the input gradient and BW for both: told by a BW, or by W without any I.
// Read: where stages lie follows from the file (a loop, a wave, or copies from both ends), messages and sharding are
// checked against the passes that they serve and left out. Refused with InputError at the cell: what is no action, a
// stage of no such layout or on two ranks, a pass that is there twice, too early or not at all, a message without its
// pass, passes of a vocabulary that ranks make in unlike orders, and lists or messages that wait for each other in a
// circle, with the circle.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "strategies/pipeline/schedule.h"

namespace echelon {

// Throws InputError.
Schedule read_pipeline_csv(const std::filesystem::path& path);
// The same of text in memory; `name` stands for the file in messages.
Schedule parse_pipeline_csv(std::string_view text, const std::string& name);

enum class PipelineCsvForm {
  compute,       // passes alone
  communication  // and a SEND behind each that crosses ranks, and its RECV, as soon, on the other rank
};
std::string pipeline_csv(const Schedule& schedule, PipelineCsvForm form);

// "0F3": the action as the grammar writes it.
std::string action_text(const Schedule& schedule, std::int64_t rank, const Action& action);

}  // namespace echelon
