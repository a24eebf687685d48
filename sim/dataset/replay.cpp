#include "sim/dataset/replay.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/dataset/point_table.h"
#include "sim/sweep/row.h"

namespace echelon {

RecordedPoints::RecordedPoints(const std::filesystem::path& folder, const Manifest& manifest) {
  std::vector<std::string> columns;
  for (const DatasetColumn& column : manifest.columns) columns.push_back(column.name);
  PointTable table(folder / manifest.points.name, std::move(columns));
  const std::size_t point = table.column("point");
  const std::size_t status = table.column("status");
  const std::size_t iteration = table.column("iteration_time_s");
  const std::size_t rate = table.column("tokens_per_s");
  const std::size_t energy = table.column("energy_j");
  const std::size_t cost = table.column("cost");
  const std::size_t peak = table.column("peak_memory_bytes");
  const std::size_t device = table.column("device_memory_bytes");
  const std::size_t capacity = table.column("memory_capacity_bytes");
  while (table.next()) {
    if (table.cells()[status] == name_of(PointStatus::infeasible)) continue;
    const double seconds = table.number(iteration);
    // Tokens of an iteration are whole; their rate is rounded.
    records_.push_back({static_cast<std::int64_t>(table.number(point)),
                        table.cells()[status] == name_of(PointStatus::ok), seconds,
                        std::round(table.number(rate) * seconds), table.number(energy),
                        cell_number(table.cells()[cost]).value_or(std::numeric_limits<double>::quiet_NaN()),
                        table.number(peak), table.number(device), table.number(capacity)});
  }
}

std::variant<Result, Infeasible> RecordedPoints::at(std::int64_t point) const {
  const auto found = std::lower_bound(records_.begin(), records_.end(), point,
                                      [](const Record& record, std::int64_t p) { return record.point < p; });
  if (found == records_.end() || found->point != point) return Infeasible{"infeasible in the data set"};
  Result result;
  result.iteration = Seconds(found->iteration_s);
  result.tokens = found->tokens;
  result.energy = Joules(found->energy_j);
  if (!std::isnan(found->cost_usd)) result.cost_usd = found->cost_usd;
  result.memory.peak = Bytes(found->peak_bytes);
  result.memory.capacity = Bytes(found->capacity_bytes);
  result.memory.per_stage.push_back(
      {Bytes(found->peak_bytes), {}, Bytes(found->device_bytes), Bytes(found->capacity_bytes)});
  result.memory.fits = found->fits;
  return result;
}

}  // namespace echelon
