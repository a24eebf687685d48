#include "sim/interop/truth_table.h"

#include <array>
#include <cmath>
#include <variant>

#include "sim/interop/csv.h"

namespace echelon {

namespace {

using TextField = std::string TruthRow::*;
using CountField = std::optional<std::int64_t> TruthRow::*;
using NumberField = std::optional<double> TruthRow::*;

struct TruthColumn {
  std::string_view name;
  std::variant<TextField, CountField, NumberField> field;
};

constexpr auto columns = std::to_array<TruthColumn>({
    {"id", &TruthRow::id},
    {"source", &TruthRow::source},
    {"url_or_path", &TruthRow::url_or_path},
    {"model", &TruthRow::model},
    {"params_b", &TruthRow::params_b},
    {"layers", &TruthRow::layers},
    {"hidden", &TruthRow::hidden},
    {"ffn", &TruthRow::ffn},
    {"heads", &TruthRow::heads},
    {"kv_heads", &TruthRow::kv_heads},
    {"vocab", &TruthRow::vocab},
    {"seq_len", &TruthRow::seq_len},
    {"gpu", &TruthRow::gpu},
    {"gpus", &TruthRow::gpus},
    {"gpus_per_node", &TruthRow::gpus_per_node},
    {"interconnect", &TruthRow::interconnect},
    {"dp", &TruthRow::dp},
    {"tp", &TruthRow::tp},
    {"pp", &TruthRow::pp},
    {"vpp", &TruthRow::vpp},
    {"cp", &TruthRow::cp},
    {"ep", &TruthRow::ep},
    {"etp", &TruthRow::etp},
    {"zero_or_fsdp", &TruthRow::zero_or_fsdp},
    {"seq_parallel", &TruthRow::seq_parallel},
    {"schedule", &TruthRow::schedule},
    {"recompute", &TruthRow::recompute},
    {"precision", &TruthRow::precision},
    {"micro_batch", &TruthRow::micro_batch},
    {"global_batch", &TruthRow::global_batch},
    {"iter_time_s", &TruthRow::iter_time_s},
    {"tokens_per_s_per_gpu", &TruthRow::tokens_per_s_per_gpu},
    {"tflops_per_gpu", &TruthRow::tflops_per_gpu},
    {"mfu", &TruthRow::mfu},
    {"peak_mem_gib", &TruthRow::peak_mem_gib},
    {"notes", &TruthRow::notes},
    {"confidence", &TruthRow::confidence},
});

std::optional<double> not_negative(const CsvTable& table, std::size_t row, std::size_t column) {
  const auto value = table.number(row, column);
  if (value && *value < 0) table.fail(row, column, fmt::format("{} is negative", *value), "a number of at least 0");
  return value;
}

std::optional<std::int64_t> count(const CsvTable& table, std::size_t row, std::size_t column) {
  constexpr double most = 1e12;  // far beyond any batch, width or vocabulary
  const auto value = table.number(row, column);
  if (!value) return std::nullopt;
  if (*value != std::floor(*value) || *value < 1 || *value > most)
    table.fail(row, column, fmt::format("{} is no count", *value), "a whole number of at least 1");
  return static_cast<std::int64_t>(*value);
}

struct Assign {
  const CsvTable& table;
  std::size_t row;
  std::size_t column;
  TruthRow& to;

  void operator()(TextField field) const { to.*field = table.cell(row, column).text; }
  void operator()(CountField field) const { to.*field = count(table, row, column); }
  void operator()(NumberField field) const { to.*field = not_negative(table, row, column); }
};

struct Show {
  const TruthRow& from;

  std::string operator()(TextField field) const { return from.*field; }
  template <class T>
  std::string operator()(std::optional<T> TruthRow::*field) const {
    return from.*field ? fmt::format("{}", *(from.*field)) : std::string();
  }
};

std::vector<TruthRow> rows_of(const CsvTable& table) {
  const std::size_t id = table.require_column("id");
  std::vector<TruthRow> rows(table.rows());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    rows[row].file = table.file();
    rows[row].line = table.line(row);
    if (table.cell(row, id).text.empty()) table.fail(row, id, "blank", "a name for the row");
  }
  for (const TruthColumn& column : columns) {
    const auto position = table.column(column.name);
    if (!position) continue;
    for (std::size_t row = 0; row < rows.size(); ++row)
      std::visit(Assign{table, row, *position, rows[row]}, column.field);
  }
  return rows;
}

}  // namespace

std::vector<TruthRow> read_truth(const std::filesystem::path& path) {
  return rows_of(CsvTable::read(path));
}

std::vector<TruthRow> parse_truth(std::string_view text, const std::string& name) {
  return rows_of(CsvTable::parse(text, name));
}

std::optional<std::string> truth_text(const TruthRow& row, std::string_view column) {
  for (const TruthColumn& known : columns)
    if (known.name == column) return std::visit(Show{row}, known.field);
  return std::nullopt;
}

}  // namespace echelon
