#include "sim/report/result_text.h"

#include <fmt/format.h>

#include "sim/report/number_text.h"
#include "sim/report/result_columns.h"

namespace echelon {

namespace {

class Page {
 public:
  explicit Page(bool color) : color_(color) {}

  // Adds a line without the spaces that pad its end.
  void line(const std::string& text) { text_ += text.substr(0, text.find_last_not_of(' ') + 1) + "\n"; }
  void heading(const std::string& text) { line(color_ ? "\033[1m" + text + "\033[0m" : text); }
  void warning(const std::string& text) { line((color_ ? "\033[33mwarning:\033[0m " : "warning: ") + text); }
  std::string take() { return std::move(text_); }

 private:
  bool color_;
  std::string text_;
};

std::string against(double predicted, double measured, const std::string& shown) {
  if (measured <= 0) return "";
  return fmt::format("   measured {} ({:+.1f} %)", shown, 100 * (predicted - measured) / measured);
}

// Where a sample is one token, as in graph models, nobody asks for tokens.
std::string throughput(const Result& result) {
  if (result.tokens == result.samples)
    return fmt::format("{:>12} samples/s, {:.1f} samples/s/GPU", grouped(result.samples_per_second()),
                       result.tokens_per_second_per_gpu());
  return fmt::format("{:>12} tokens/s, {} tokens/s/GPU, {:.2f} sequences/s", grouped(result.tokens_per_second()),
                     grouped(result.tokens_per_second_per_gpu()), result.samples_per_second());
}

// Of groups that train apart: what an exchange takes and sends, and how fast links hide it.
void write_round(Page& page, const LocalRound& round) {
  const std::string those = round.fragments == 1 ? "the one" : fmt::format("each of the {}", round.fragments);
  page.line(fmt::format("  between        {:>12}   {} groups apart; {} for {} in {} that {} them",
                        duration(round.between), round.groups, duration(round.closing), those, round.steps,
                        round.fragments == 1 ? "synchronises" : "synchronise a fragment of"));
  const auto rate = [](ByteRate of) { return fmt::format("{:.3g} GB/s", of.value() / 1e9); };
  const auto hiding = round.hiding_rate();
  page.line(fmt::format("  exchange       {:>12}   a group sends {:.3g} GB at {}, {:.3g} GB a round; {} exposed{}",
                        duration(round.exchange), round.largest.value() / 1e9, rate(round.peak_rate()),
                        round.sent.value() / 1e9,
                        round.exposed > Seconds(0) ? duration(round.exposed) + " of it" : "nothing",
                        hiding ? fmt::format(", as from {} on", rate(*hiding)) : ""));
}

// Whether the device holds it all, and where the peak alone does not say why not, what does.
std::string device_verdict(const MemoryResult& memory) {
  const StageMemory* fullest = nullptr;
  for (const StageMemory& stage : memory.per_stage)
    if (fullest == nullptr || stage.device / stage.capacity > fullest->device / fullest->capacity) fullest = &stage;
  if (fullest == nullptr || fullest->device <= fullest->capacity) return "fits";
  if (memory.peak > memory.capacity) return "DOES NOT FIT";
  return fmt::format("DOES NOT FIT, {:.1f} GiB of {:.1f} with CUDA's context, NCCL and the allocator",
                     fullest->device / gibibytes(1), fullest->capacity / gibibytes(1));
}

void write_totals(Page& page, const Result& result, const TextHeading& heading) {
  page.line(fmt::format("  iteration      {:>12}   expected {} to {}{}", duration(result.iteration),
                        duration(result.iteration_low), duration(result.iteration_high),
                        against(result.iteration.value(), heading.measured_iteration_s,
                                duration(Seconds(heading.measured_iteration_s)))));
  if (result.alone)
    page.line(
        fmt::format("  alone          {:>12}   on a network that is whole and has no other jobs; that costs {:.1f} %",
                    duration(*result.alone), 100 * (result.iteration / *result.alone - 1)));
  if (result.round) write_round(page, *result.round);
  page.line("  throughput     " + throughput(result));
  page.line(fmt::format("  utilisation    {:>10.1f} % MFU ({:.0f} TFLOP/s/GPU), {:.1f} % HFU ({:.0f} TFLOP/s/GPU)",
                        100 * result.mfu(), result.model_rate_per_gpu() / teraflops(1), 100 * result.hfu(),
                        result.hardware_rate_per_gpu() / teraflops(1)));
  const double peak = result.memory.peak / gibibytes(1);
  page.line(
      fmt::format("  peak memory    {:>8.1f} GiB   of {:.1f} GiB: {}{}", peak, result.memory.capacity / gibibytes(1),
                  device_verdict(result.memory),
                  against(peak, heading.measured_peak_gib, fmt::format("{:.1f} GiB", heading.measured_peak_gib))));
  if (result.memory.host > Bytes(0))
    page.line(fmt::format("  host memory    {:>8.1f} GiB   of a node's {:.1f} GiB{}", result.memory.host / gibibytes(1),
                          result.memory.host_capacity / gibibytes(1),
                          result.memory.host > result.memory.host_capacity ? ": DOES NOT FIT" : ""));
  const auto rent = usd_per_gpu_hour(result);
  const std::string cost =
      rent ? fmt::format("{:.4g} USD at {:.4g} a GPU-hour", *result.cost_usd, *rent) : "no price of a GPU-hour";
  page.line(
      fmt::format("  per iteration  {:>8.4g} MJ    at most (all GPUs at TDP), {}", result.energy.value() / 1e6, cost));
}

void write_breakdown(Page& page, const Result& result) {
  page.heading(fmt::format("Time of pipeline stage {}, the critical one", result.critical_stage));
  for (const BreakdownColumn& column : breakdown_columns()) {
    const Seconds part = result.breakdown.*column.part;
    const double share = part / result.iteration;
    if (share < 0.0005) continue;
    page.line(fmt::format("  {:<11} {:>11} {:>5.1f} % {} {}", column.name, duration(part), 100 * share, bar(share),
                          column.meaning));
  }
}

void write_ranks(Page& page, const RankReplay& ranks) {
  page.heading(fmt::format("Every rank on its own: {} ranks{}", grouped(static_cast<double>(ranks.ranks)),
                           ranks.runs > 1 ? fmt::format(", {} runs", ranks.runs) : ""));
  page.line(fmt::format("  iteration   {:>11}   were all ranks alike", duration(ranks.alike)));
  if (ranks.runs > 1)
    page.line(
        fmt::format("  P5 P50 P95  {:>11}   {}   {}", duration(ranks.p5), duration(ranks.p50), duration(ranks.p95)));
  page.line(
      fmt::format("  idle        {:>9.1f} %   of a rank's compute stream at the mean, {:.1f} % of the busiest rank's",
                  100 * ranks.mean_idle, 100 * ranks.least_idle));
  if (ranks.link)
    page.line(fmt::format("  link        {:>11}   of the critical chain on links held back by {} to {}{}",
                          duration(ranks.link->held), ranks.link->from, ranks.link->to,
                          ranks.runs > 1 ? fmt::format(" in {} of {} runs", ranks.link->runs, ranks.runs) : ""));
  if (!ranks.pace) {
    page.line("  pace        no rank is slower than nominal where it counts");
    return;
  }
  const RankPlace& at = ranks.pace->place;
  page.line(fmt::format("  pace        set by rank {} (dp {} tp {} pp {} cp {}){}", at.rank, at.data, at.tensor,
                        at.pipeline, at.context,
                        ranks.runs > 1 ? fmt::format(" in {} of {} runs", ranks.pace->runs, ranks.runs) : ""));
  page.line(fmt::format("              {:>11}   lost by it, most ({}) in {}", duration(ranks.pace->lost),
                        duration(ranks.pace->delay), ranks.pace->task));
}

void write_memory(Page& page, const Result& result) {
  page.heading("Memory of the fullest stage, at its peak");
  for (const auto& category : enum_names<MemoryCategory>) {
    const Bytes bytes = result.memory.by_category[static_cast<std::size_t>(category.value)];
    if (bytes < Bytes(1)) continue;
    const double share = bytes / result.memory.capacity;
    page.line(fmt::format("  {:<13} {:>9.2f} GiB {:>5.1f} % {}", category.name, bytes / gibibytes(1), 100 * share,
                          bar(share)));
  }
}

void write_operators(Page& page, const Result& result) {
  page.heading("Operators of one layer and micro-batch (one rank)");
  page.line(fmt::format("  {:<12} {:<28} {:>11} {:>11} {:>8}  {}", "block", "operator", "forward", "backward", "times",
                        "ground"));
  for (const OperatorLine& line : result.operators)
    page.line(fmt::format("  {:<12} {:<28} {:>11} {:>11} {:>8.0f}  {}", line.block, line.name, duration(line.forward),
                          duration(line.backward), line.times, name_of(line.ground)));
}

}  // namespace

std::string result_to_text(const Result& result, const TextHeading& heading, const TextOptions& options) {
  Page page(options.color);
  page.heading(heading.title);
  if (!heading.subtitle.empty()) page.line("  " + heading.subtitle);
  page.line("");
  write_totals(page, result, heading);
  page.line("");
  write_breakdown(page, result);
  page.line("");
  if (result.ranks) {
    write_ranks(page, *result.ranks);
    page.line("");
  }
  write_memory(page, result);
  page.line("");
  if (options.operators) {
    write_operators(page, result);
    page.line("");
  }
  page.line(result.bottleneck);
  page.line(
      fmt::format("Ground: {:.0f} % of device time measured on this GPU, {:.0f} % scaled from another, {:.0f} % "
                  "datasheet; profile {}.",
                  100 * result.coverage[0], 100 * result.coverage[1], 100 * result.coverage[2], result.profile));
  for (const std::string& text : result.warnings) page.warning(text);
  return page.take();
}

}  // namespace echelon
