#include "sim/report/result_columns.h"

#include <array>

namespace echelon {

std::span<const ResultColumn> result_columns() {
  static constexpr auto columns = std::to_array<ResultColumn>({
      {"iteration_time_s", "s", "time of one optimizer step", [](const Result& r) { return r.iteration.value(); }},
      {"iteration_time_low_s", "s", "lower end of the expected interval",
       [](const Result& r) { return r.iteration_low.value(); }},
      {"iteration_time_high_s", "s", "upper end of the expected interval",
       [](const Result& r) { return r.iteration_high.value(); }},
      {"tokens_per_s", "tokens/s", "throughput of the cluster", [](const Result& r) { return r.tokens_per_second(); }},
      {"tokens_per_s_per_gpu", "tokens/s", "throughput of one GPU",
       [](const Result& r) { return r.tokens_per_second_per_gpu(); }},
      {"samples_per_s", "sequences/s", "sequences a second", [](const Result& r) { return r.samples_per_second(); }},
      {"model_tflops_per_gpu", "TFLOP/s", "useful FLOPs (no recompute) a second and GPU",
       [](const Result& r) { return r.model_rate_per_gpu() / teraflops(1); }},
      {"hardware_tflops_per_gpu", "TFLOP/s", "executed FLOPs a second and GPU",
       [](const Result& r) { return r.hardware_rate_per_gpu() / teraflops(1); }},
      {"mfu", "1", "useful FLOPs over dense peak", [](const Result& r) { return r.mfu(); }},
      {"hfu", "1", "executed FLOPs over dense peak", [](const Result& r) { return r.hfu(); }},
      {"bubble_fraction", "1", "share of the critical rank's time that waits for other stages",
       [](const Result& r) { return r.bubble_fraction; }},
  });
  return columns;
}

std::span<const BreakdownColumn> breakdown_columns() {
  static constexpr auto columns = std::to_array<BreakdownColumn>({
      {"compute", "forward and backward kernels", &Breakdown::compute},
      {"recompute", "activations computed again", &Breakdown::recompute},
      {"exposed_tp", "waiting for tensor-parallel collectives", &Breakdown::exposed_tp},
      {"exposed_pp", "waiting for messages between stages", &Breakdown::exposed_pp},
      {"exposed_dp", "waiting for gradient reduction and parameter gathers", &Breakdown::exposed_dp},
      {"exposed_cp", "waiting for context-parallel transfers", &Breakdown::exposed_cp},
      {"exposed_ep", "waiting for expert all-to-alls", &Breakdown::exposed_ep},
      {"offload", "waiting for copies to and from the host", &Breakdown::offload},
      {"bubble", "waiting for other pipeline stages", &Breakdown::bubble},
      {"optimizer", "optimizer step", &Breakdown::optimizer},
      {"other", "host launches, overlap slowdown", &Breakdown::other},
  });
  return columns;
}

}  // namespace echelon
