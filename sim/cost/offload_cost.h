// (copy or optimizer step, host) -> time, for what is offloaded. Throws nothing.
//
//   copy            bytes / min(link, drives / GPUs of the node that share them)
//   step on host    elements x bytes moved of an element / (host memory bandwidth / sharers)       memory-bound
//   ... from nvme   the longer of that and of reading and writing the states, which the drives do one after the other
//                   while other states are updated (ZeRO-Infinity, arXiv:2104.07857, section 6.2)
#pragma once

#include "sim/graph/work.h"
#include "sim/hardware/host.h"

namespace echelon {

// `sharers`: GPUs of the job on a node.
Seconds host_copy_time(const Host& host, double sharers, const HostCopy& copy);
Seconds host_step_time(const Host& host, double sharers, const OptimizerWork& step);

}  // namespace echelon
