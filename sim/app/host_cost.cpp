#include "sim/app/host_cost.h"

namespace echelon {

// Effective host times per kernel, autograd and bookkeeping included. Measured only through whole iterations: the
// groups below are solved from launch-bound rows of published runs, which the profiles name in `tuned_rows` and
// validate leaves out of its summaries:
//   megatron  vtrain_single-0068, -0082, -0088, -0151, -0152 (A100 nodes, Megatron-DeepSpeed)
//   nanotron  nanotron_ultrascale-0028, -0029, -0077, -0078, -0129, -0130 (AWS p5)
//   checks    nanotron_ultrascale-0082, -0088, -0157: nanotron pipelines that span nodes, with tensor parallelism of
//             2, 4 and 8. There each tensor-parallel collective holds its host up by a time that grows with the ranks
//             of its group and with nothing else (micro-batch, model, stages). The cause:
//             TORCH_DISTRIBUTED_DEBUG=DETAIL in nanotron's launch script (run_multinode.sh of huggingface/nanotron
//             @38fcb8bcbe66). PyTorch's ProcessGroupWrapper then lets the hosts of a group meet before each collective,
//             of any kind and group, messages between two ranks excepted: a barrier in which one rank hears and answers
//             all others, and two gathers of fingerprints over Gloo's rings (ProcessGroupWrapper.cpp), all in steps
//             by number of ranks. One time a rank is taken for all groups.
//             Which jobs were checked their authors' table shows by what each measured before it trained
//             (eyao600/Rapid-LLM validation_scripts/huggingface_data/bench_final2_mod_add.csv, 256 MB): 12 to 14 GB/s
//             in all-reduces and 6 to 7 in gathers on 64 nodes, on 32 26 and 13, 16 50 and 27, 8 95 and 53, where jobs
//             without have 179 and 46, 189 and 76, 182 and 124, 186 and 173; on one node 425 and 242, not 458 and
//             263. From 8 nodes on both kinds take 77 to 82 us a rank, the host's time alone: a bound from below for
//             training, where hosts meet between other work.
// A cuBLAS call from C++ takes 8.9 us: what each of 160 experts' products of 154 rows took under Transformer Engine on
// a B200, whose multiprocessors they leave idle (median of 8.6, 8.8, 9.1 and 9.3 us, forward and input gradient;
// MooreThreads/SimuMax @4dcaae513ba7, configs/system/b200_bf16_ceperm.json, group_matmul, N 5120, K 1536). The rest is
// assumed, not measured and not tuned: 5-10 us of dispatch and launch for a PyTorch operator.
// A micro-batch that is fetched while the device waits takes 0.64 ms, the median of what three logs of Megatron-LM of
// 2021 have for one (timer batch-generator, which waits for the device at both ends): 0.51 on one node, tensor 2 x
// pipeline 4, 1,024 micro-batches (GPT 13B, sequence 2,048); 0.59 to 0.68 on V100 nodes of Jean Zay, tensor 4, four
// micro-batches (bigscience-workshop, GPT of 7 to 78B); 0.64 of CodeGeeX, one.
// A message of a synchronous pipeline takes 0.39 ms longer than its transfer: hosts wait for the device at both ends
// and launch what follows anew. Median of what the zero-bubble paper's T_comm (arXiv:2401.10241, table 9, A100 nodes,
// ping and answer along the pipeline through Megatron's send and receive, 0.377 to 0.762 ms for 10.5 to 28.3 MB) has
// over the transfer on the profile that its rows use: 0.31 to 0.65.
HostCost host_cost(const Scenario& scenario) {
  constexpr Seconds operator_cost = microseconds(8);
  constexpr Seconds call = microseconds(8.9);
  constexpr Seconds batch = microseconds(640);
  const Seconds check = scenario.strategy.checks_collectives ? microseconds(213) : Seconds(0);
  const Seconds message = scenario.strategy.synchronous_pipeline ? microseconds(390) : Seconds(0);
  switch (scenario.strategy.framework) {
    case FrameworkKind::megatron:
    case FrameworkKind::deepspeed:
      return {microseconds(49.3), microseconds(40.9), operator_cost, call, batch, check, message};
    case FrameworkKind::nanotron:
      return {microseconds(100), microseconds(75), operator_cost, call, batch, check, message};
    case FrameworkKind::fsdp:
    case FrameworkKind::torchtitan:
      return {operator_cost, microseconds(6), operator_cost, call, batch, check, message};
  }
  return {};
}

}  // namespace echelon
