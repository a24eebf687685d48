#include "sim/interop/nccl_kind.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <string>

namespace echelon {
namespace {

struct Spelling {
  std::string_view word;
  CollectiveKind kind;
};
// Longer words before those that they contain.
constexpr std::array<Spelling, 16> spellings{{{"reduce_scatter", CollectiveKind::reduce_scatter},
                                              {"reducescatter", CollectiveKind::reduce_scatter},
                                              {"all_reduce", CollectiveKind::all_reduce},
                                              {"allreduce", CollectiveKind::all_reduce},
                                              {"all_gather", CollectiveKind::all_gather},
                                              {"allgather", CollectiveKind::all_gather},
                                              {"all_to_all", CollectiveKind::all_to_all},
                                              {"alltoall", CollectiveKind::all_to_all},
                                              {"all2all", CollectiveKind::all_to_all},
                                              {"send_receive", CollectiveKind::send_receive},
                                              {"send_recv", CollectiveKind::send_receive},
                                              {"sendrecv", CollectiveKind::send_receive},
                                              {"broadcast", CollectiveKind::broadcast},
                                              {"bcast", CollectiveKind::broadcast},
                                              {"reduce_perf", CollectiveKind::reduce},
                                              {"reduce", CollectiveKind::reduce}}};

bool has_parts(CollectiveKind kind) {
  return kind == CollectiveKind::all_gather || kind == CollectiveKind::reduce_scatter ||
         kind == CollectiveKind::all_to_all;
}
bool reduces(CollectiveKind kind) {
  return kind == CollectiveKind::all_reduce || kind == CollectiveKind::reduce_scatter || kind == CollectiveKind::reduce;
}
bool has_root(CollectiveKind kind) {
  return kind == CollectiveKind::broadcast || kind == CollectiveKind::reduce;
}

struct Range {
  double low = 0;
  double high = std::numeric_limits<double>::max();
  bool holds(double value) const { return value >= low && value <= high; }
};

// Bus over algorithm bandwidth of the row that shows most digits of it, as wide as two printed decimals leave it.
std::optional<Range> bus_ratio(const std::vector<NcclRow>& rows) {
  const auto widest = std::max_element(rows.begin(), rows.end(), [](const NcclRow& a, const NcclRow& b) {
    return a.algorithm_bandwidth < b.algorithm_bandwidth;
  });
  const double algorithm = widest->algorithm_bandwidth.value() * 1e-9;
  const double bus = widest->bus_bandwidth.value() * 1e-9;
  constexpr double least = 0.2;  // below it two decimals say too little
  constexpr double rounding = 0.0051;
  if (algorithm < least) return std::nullopt;
  return Range{(bus - rounding) / (algorithm + rounding), (bus + rounding) / (algorithm - rounding)};
}

// Numbers of ranks that give such a ratio; low > high where none does.
Range ranks_of_ratio(CollectiveKind kind, const Range& ratio) {
  const double limit = kind == CollectiveKind::all_reduce ? 2 : has_parts(kind) ? 1 : 0;
  if (limit == 0) return ratio.holds(1) ? Range{2} : Range{1, 0};
  const auto ranks = [&](double r) { return r >= limit ? std::numeric_limits<double>::max() : limit / (limit - r); };
  return {std::max(2.0, ranks(ratio.low)), ranks(ratio.high)};
}

// The middle of the range, on the roundest step of 8, 4, 2 or 1 that the range holds. 0 where the range is open.
std::int64_t likely_ranks(const Range& range) {
  constexpr double most = 1e6;
  if (range.high > most) return 0;
  const double middle = (range.low + range.high) / 2;
  for (const double step : {8.0, 4.0, 2.0, 1.0}) {
    const double ranks = std::round(middle / step) * step;
    if (ranks >= 2 && range.holds(ranks)) return static_cast<std::int64_t>(ranks);
  }
  return std::max<std::int64_t>(2, std::llround(middle));
}

// How many times `count` elements go into `size`, by most rows; 0 where it is no whole number.
std::int64_t parts_of(const std::vector<NcclRow>& rows) {
  std::map<std::int64_t, int> counts;
  for (const NcclRow& row : rows) {
    const double part = row.count * nccl_element_bytes(row.type);
    if (part <= 0 || part > row.bytes.value()) continue;
    const double parts = row.bytes.value() / part;
    if (parts == std::floor(parts) && parts < 1e6) ++counts[static_cast<std::int64_t>(parts)];
  }
  const auto best =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return best == counts.end() ? 0 : best->first;
}

class Deduction {
 public:
  Deduction(const std::vector<NcclRow>& rows, const NcclKindFacts& facts)
      : facts_(facts), ratio_(bus_ratio(rows)), parts_(parts_of(rows)) {
    const NcclRow& row = rows.front();
    rooted_ = std::any_of(rows.begin(), rows.end(), [](const NcclRow& r) { return r.root >= 0; });
    reducing_ = !row.reduction.empty() && row.reduction != "none";
    // Only all-to-all checks its results out of place alone.
    order_ = facts.named;
    if (row.out_of_place_checked && !row.in_place_checked) order_.push_back(CollectiveKind::all_to_all);
    for (const auto& kind : enum_names<CollectiveKind>) order_.push_back(kind.value);
  }

  std::optional<NcclKind> run() const {
    if (facts_.table_ranks == 1) return std::nullopt;
    for (const Trust& trust : {Trust{true, true}, Trust{false, true}, Trust{false, false}})
      for (const CollectiveKind kind : order_)
        if (const auto ranks = ranks_if(kind, trust)) return NcclKind{kind, *ranks};
    return std::nullopt;
  }

 private:
  // Documents cut tables short and retype columns: what is believed, the most first.
  struct Trust {
    bool table = true;
    bool counts = true;
  };

  bool columns_allow(CollectiveKind kind, const Trust& trust) const {
    if (facts_.has_reduction_column && (reduces(kind) != reducing_ || has_root(kind) != rooted_)) return false;
    return parts_ == 0 || !trust.counts || has_parts(kind) == (parts_ > 1);
  }

  // The ranks that this collective would have had; nothing where it does not fit.
  std::optional<std::int64_t> ranks_if(CollectiveKind kind, const Trust& trust) const {
    if (!columns_allow(kind, trust)) return std::nullopt;
    Range range{2};
    if (ratio_) range = ranks_of_ratio(kind, *ratio_);
    if (range.low > range.high) return std::nullopt;
    const std::int64_t table = trust.table ? facts_.table_ranks : 0;
    const std::int64_t known = parts_ > 1 && trust.counts ? parts_ : table;
    if (known > 0) return range.holds(static_cast<double>(known)) ? std::optional(known) : std::nullopt;
    return has_root(kind) || kind == CollectiveKind::send_receive ? 0 : likely_ranks(range);
  }

  const NcclKindFacts& facts_;
  std::optional<Range> ratio_;
  std::int64_t parts_ = 0;
  bool rooted_ = false;
  bool reducing_ = false;
  std::vector<CollectiveKind> order_;
};

}  // namespace

std::optional<NcclKind> nccl_kind_of(const std::vector<NcclRow>& rows, const NcclKindFacts& facts) {
  if (rows.empty()) return std::nullopt;
  return Deduction(rows, facts).run();
}

std::optional<CollectiveKind> nccl_program_kind(std::string_view program) {
  for (const Spelling& spelling : spellings)
    if (spelling.word == program) return spelling.kind;
  return std::nullopt;
}

std::optional<CollectiveKind> nccl_kind_in_name(std::string_view file_name) {
  std::string name(file_name);
  for (char& c : name) c = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  for (const Spelling& spelling : spellings)
    if (name.find(spelling.word) != std::string::npos) return spelling.kind;
  return std::nullopt;
}

}  // namespace echelon
