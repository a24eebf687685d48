#include "sim/report/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "sim/base/error.h"
#include "sim/report/number_text.h"

namespace echelon {

namespace {

struct PartPhrase {
  std::string_view column;
  std::string_view phrase;  // how people call it in a sentence
};
constexpr auto part_phrases = std::to_array<PartPhrase>({
    {"compute", "compute time"},
    {"recompute", "recompute time"},
    {"exposed_tp", "exposed tensor-parallel time"},
    {"exposed_pp", "exposed pipeline message time"},
    {"exposed_dp", "exposed data-parallel time"},
    {"exposed_cp", "exposed context-parallel time"},
    {"exposed_ep", "exposed expert-parallel time"},
    {"offload", "exposed offload time"},
    {"bubble", "bubble time"},
    {"optimizer", "optimizer time"},
    {"other", "host and slowdown time"},
    {"stragglers", "time of waiting for slower ranks"},
});

std::string_view phrase_of(const BreakdownColumn& column) {
  const auto found = std::find_if(part_phrases.begin(), part_phrases.end(),
                                  [&column](const PartPhrase& part) { return part.column == column.name; });
  SIM_CHECK(found != part_phrases.end(), "no phrase for the part {}", column.name);
  return found->phrase;
}

constexpr double least_difference = 0.005;  // of throughput: below, two candidates are as fast

struct PartChange {
  std::string_view phrase;
  Seconds from;
  Seconds to;

  Seconds change() const { return to - from; }
};

// Parts of the time for as many tokens a GPU as `reference` takes, largest change first.
std::vector<PartChange> part_changes(const Result& reference, const Result& other) {
  const auto tokens_of_one = [](const Result& result) { return result.tokens / static_cast<double>(result.gpus); };
  const double scale = tokens_of_one(reference) / tokens_of_one(other);
  std::vector<PartChange> changes;
  for (const BreakdownColumn& column : breakdown_columns())
    changes.push_back({phrase_of(column), reference.breakdown.*column.part, other.breakdown.*column.part * scale});
  std::stable_sort(changes.begin(), changes.end(), [](const PartChange& a, const PartChange& b) {
    return std::abs(a.change().value()) > std::abs(b.change().value());
  });
  return changes;
}

std::string change_text(const PartChange& part) {
  const char* verb = part.change() < Seconds(0) ? "fell" : "rose";
  if (shows_as_zero(part.from)) return fmt::format("{} rose from 0 to {}", part.phrase, duration(part.to));
  if (shows_as_zero(part.to)) return fmt::format("{} fell from {} to 0", part.phrase, duration(part.from));
  return fmt::format("{} {} from {} to {}", part.phrase, verb, duration(part.from), duration(part.to));
}

// The changes that matter: those of at least a sixth of the largest, three at most in each direction.
std::vector<PartChange> large_changes(const std::vector<PartChange>& changes) {
  constexpr int most = 3;
  constexpr double share = 1.0 / 6;
  const double least = share * std::abs(changes.front().change().value());
  int falling = 0;
  int rising = 0;
  std::vector<PartChange> large;
  for (const PartChange& part : changes) {
    const double change = part.change().value();
    if (change == 0 || std::abs(change) < least) continue;
    if (++(change < 0 ? falling : rising) <= most) large.push_back(part);
  }
  return large;
}

std::vector<std::string> change_texts(const std::vector<PartChange>& changes, bool falling) {
  std::vector<std::string> texts;
  for (const PartChange& part : changes)
    if ((part.change() < Seconds(0)) == falling) texts.push_back(change_text(part));
  return texts;
}

// What the named parts leave of the whole change, where that is a tenth of it or more.
std::string rest_text(const std::vector<PartChange>& all, const std::vector<PartChange>& named) {
  constexpr double least = 0.1;
  Seconds whole;
  for (const PartChange& part : all) whole += part.change();
  Seconds rest = whole;
  for (const PartChange& part : named) rest -= part.change();
  if (std::abs(rest.value()) < least * std::abs(whole.value())) return "";
  return fmt::format(", the rest {} by {}", rest < Seconds(0) ? "fell" : "rose",
                     duration(Seconds(std::abs(rest.value()))));
}

// "costs 12 % less"; nothing where that is under 1 %.
std::optional<std::string> change_of_share(const char* verb, double ratio, const char* of) {
  if (std::abs(ratio - 1) < 0.01) return std::nullopt;
  return fmt::format("{} {:.0f} % {}{}", verb, 100 * std::abs(ratio - 1), ratio < 1 ? "less" : "more", of);
}

// What a token costs and takes, where both have a price or a power.
std::string token_clause(const Result& reference, const Result& other) {
  std::vector<std::string> changes;
  const auto add = [&](const char* verb, double from, double to, const char* of) {
    if (from <= 0 || to <= 0) return;
    if (auto change = change_of_share(verb, to / other.tokens / (from / reference.tokens), of))
      changes.push_back(*change);
  };
  add("costs", reference.cost_usd.value_or(0), other.cost_usd.value_or(0), "");
  add("takes", reference.energy.value(), other.energy.value(), " energy");
  return changes.empty() ? "" : fmt::format("; a token {}", fmt::join(changes, " and "));
}

// The fullest rank's peak, and what of it changed most in the same direction.
std::string memory_clause(const MemoryResult& reference, const MemoryResult& other) {
  constexpr double least = 0.01;
  const double sign = other.peak < reference.peak ? -1 : 1;
  if (std::abs((other.peak - reference.peak).value()) < least * reference.peak.value() || reference.peak <= Bytes(0))
    return "";
  std::size_t most = 0;
  const auto change = [&](std::size_t i) { return (other.by_category[i] - reference.by_category[i]) * sign; };
  for (std::size_t i = 1; i < other.by_category.size(); ++i)
    if (change(i) > change(most)) most = i;
  const char* verb = sign < 0 ? "fell" : "rose";
  std::string text = fmt::format("; peak memory {} from {:.1f} GiB to {:.1f} GiB", verb, reference.peak / gibibytes(1),
                                 other.peak / gibibytes(1));
  if (change(most) > Bytes(0))
    text += fmt::format(", {} by {:.1f} GiB", name_of(static_cast<MemoryCategory>(most)), change(most) / gibibytes(1));
  return text;
}

// "17.9 % faster than", "as fast as".
std::string speed_text(double speedup) {
  if (std::abs(speedup - 1) < least_difference) return "as fast as";
  return fmt::format("{:.3g} % {} than", 100 * std::abs(speedup - 1), speedup > 1 ? "faster" : "slower");
}

// Which parts made the time of one GPU what it is: ": X fell from a to b, while Y rose from c to d".
std::string cause_text(const Result& from, const Result& to, bool faster) {
  const auto all = part_changes(from, to);
  const auto named = large_changes(all);
  std::string text = fmt::format(": {}", fmt::join(change_texts(named, faster), ", "));
  const auto against = change_texts(named, !faster);
  if (!against.empty()) text += fmt::format(", while {}", fmt::join(against, ", "));
  text += rest_text(all, named);
  if (from.gpus != to.gpus)
    text += fmt::format(" (for {} tokens a GPU)", grouped(from.tokens / static_cast<double>(from.gpus)));
  else if (from.tokens != to.tokens)
    text += fmt::format(" (for {} tokens)", grouped(from.tokens));
  return text;
}

std::string sentence(const Candidate& reference, const Candidate& candidate) {
  const Result& from = *reference.result();
  const Result& to = *candidate.result();
  std::string text = fmt::format("{} is {} {}", candidate.name,
                                 speed_text(to.tokens_per_second() / from.tokens_per_second()), reference.name);
  const double by_gpu = to.tokens_per_second_per_gpu() / from.tokens_per_second_per_gpu();
  if (from.gpus != to.gpus) text += fmt::format(" and, GPU by GPU, {} it", speed_text(by_gpu));
  if (std::abs(by_gpu - 1) >= least_difference) text += cause_text(from, to, by_gpu > 1);
  return text + token_clause(from, to) + memory_clause(from.memory, to.memory) + ".";
}

std::string refusal(const Candidate& candidate) {
  if (const auto* infeasible = std::get_if<Infeasible>(&candidate.outcome))
    return fmt::format("{} cannot run: {}.", candidate.name, infeasible->reason);
  const MemoryResult& memory = candidate.result()->memory;
  if (memory.fits) return fmt::format("{} breaks a limit: {}.", candidate.name, candidate.broken_limit);
  Bytes most;
  for (const StageMemory& stage : memory.per_stage) most = std::max(most, stage.device);
  std::size_t largest = 0;
  for (std::size_t i = 1; i < memory.by_category.size(); ++i)
    if (memory.by_category[i] > memory.by_category[largest]) largest = i;
  return fmt::format("{} does not fit: {:.1f} GiB needed, {:.1f} GiB there are; {} take most, {:.1f} GiB.",
                     candidate.name, most / gibibytes(1), memory.capacity / gibibytes(1),
                     name_of(static_cast<MemoryCategory>(largest)), memory.by_category[largest] / gibibytes(1));
}

}  // namespace

CandidateRank rank_by(const ResultColumn& metric) {
  return [&metric](const Candidate& candidate) {
    return metric.value(*candidate.result()) * (metric.better == Better::higher ? -1 : 1);
  };
}

std::optional<std::size_t> best_candidate(const std::vector<Candidate>& candidates, const CandidateRank& rank) {
  std::optional<std::size_t> best;
  double least = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].runnable() == nullptr) continue;
    const double value = rank(candidates[i]);
    if (std::isnan(value) || (best && value >= least)) continue;
    best = i;
    least = value;
  }
  return best;
}

std::optional<std::size_t> best_candidate(const std::vector<Candidate>& candidates, const ResultColumn& metric) {
  return best_candidate(candidates, rank_by(metric));
}

std::vector<std::string> explain_differences(const std::vector<Candidate>& candidates) {
  std::vector<std::string> sentences;
  const Candidate* reference = nullptr;
  for (const Candidate& candidate : candidates)
    if (reference == nullptr && candidate.runnable() != nullptr) reference = &candidate;
  for (const Candidate& candidate : candidates) {
    if (candidate.runnable() == nullptr)
      sentences.push_back(refusal(candidate));
    else if (&candidate != reference)
      sentences.push_back(sentence(*reference, candidate));
  }
  return sentences;
}

}  // namespace echelon
