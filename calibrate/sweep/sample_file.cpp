#include "calibrate/sweep/sample_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <sstream>

#include "sim/interop/csv.h"
#include "sim/interop/text_file.h"

namespace echelon {
namespace {

constexpr std::string_view first_line = "# echelon calibrate samples 1";
constexpr std::string_view process_line = "# a process goes on from here";

// A column and how it is read and written: texts and numbers in the column's unit.
struct TextColumn {
  const char* name;
  std::string Benchmark::*member;
};
struct CountColumn {
  const char* name;
  std::int64_t Benchmark::*member;
};
struct FigureColumn {
  const char* name;
  std::function<double(const Sample&)> get;
  std::function<void(Sample&, double)> set;
};

constexpr std::array<TextColumn, 4> text_columns{{{"family", &Benchmark::family},
                                                  {"operation", &Benchmark::operation},
                                                  {"type", &Benchmark::type},
                                                  {"variant", &Benchmark::variant}}};
constexpr std::array<CountColumn, 9> count_columns{{{"m", &Benchmark::m},
                                                    {"n", &Benchmark::n},
                                                    {"k", &Benchmark::k},
                                                    {"batch", &Benchmark::batch},
                                                    {"ranks", &Benchmark::ranks},
                                                    {"bytes", &Benchmark::bytes},
                                                    {"heads", &Benchmark::heads},
                                                    {"kv_heads", &Benchmark::kv_heads},
                                                    {"ranks_per_node", &Benchmark::ranks_per_node}}};

template <class Struct, class Number>
FigureColumn figure(const char* name, Struct Sample::*part, Number Struct::*member) {
  return {name, [=](const Sample& sample) { return static_cast<double>(sample.*part.*member); },
          [=](Sample& sample, double value) { sample.*part.*member = static_cast<Number>(value); }};
}

template <class Number>
FigureColumn figure(const char* name, Number Sample::*member) {
  return {name, [=](const Sample& sample) { return static_cast<double>(sample.*member); },
          [=](Sample& sample, double value) { sample.*member = static_cast<Number>(value); }};
}

FigureColumn figure_us(const char* name, Seconds Sample::*member) {
  return {name, [=](const Sample& sample) { return 1e6 * (sample.*member).value(); },
          [=](Sample& sample, double value) { sample.*member = microseconds(value); }};
}

const std::vector<FigureColumn>& figure_columns() {
  static const std::vector<FigureColumn> columns{
      figure_us("time_us", &Sample::time),
      figure("spread", &Sample::spread),
      figure_us("least_us", &Sample::least),
      figure("runs", &Sample::runs),
      figure("outliers", &Sample::outliers),
      figure("sm_mhz", &Sample::conditions, &Conditions::sm_mhz),
      figure("memory_mhz", &Sample::conditions, &Conditions::memory_mhz),
      figure("watts", &Sample::conditions, &Conditions::watts),
      figure("celsius", &Sample::conditions, &Conditions::celsius),
  };
  return columns;
}

// The lines of the head, in their order.
struct HeadLine {
  const char* name;
  std::function<std::string(const SweepOrigin&)> get;
  std::function<void(SweepOrigin&, const std::string&)> set;
};

HeadLine head_text(const char* name, std::string DeviceFacts::*member) {
  return {name, [=](const SweepOrigin& origin) { return origin.facts.*member; },
          [=](SweepOrigin& origin, const std::string& text) { origin.facts.*member = text; }};
}

template <class Number>
HeadLine head_number(const char* name, Number DeviceFacts::*member) {
  return {name, [=](const SweepOrigin& origin) { return std::to_string(origin.facts.*member); },
          [=](SweepOrigin& origin, const std::string& text) {
            origin.facts.*member = static_cast<Number>(std::strtoll(text.c_str(), nullptr, 10));
          }};
}

const std::vector<HeadLine>& head_lines() {
  static const std::vector<HeadLine> lines{
      head_text("gpu", &DeviceFacts::gpu),
      head_number("gpus", &DeviceFacts::gpus),
      head_number("memory_bytes", &DeviceFacts::memory_bytes),
      head_number("multiprocessors", &DeviceFacts::multiprocessors),
      head_number("l2_bytes", &DeviceFacts::l2_bytes),
      head_number("capability", &DeviceFacts::capability),
      head_text("driver", &DeviceFacts::driver),
      head_text("cuda", &DeviceFacts::cuda),
      head_text("cublas", &DeviceFacts::cublas),
      head_text("nccl", &DeviceFacts::nccl),
      head_text("cudnn", &DeviceFacts::cudnn),
      head_number("nodes", &DeviceFacts::nodes),
      {"host", [](const SweepOrigin& origin) { return origin.host; },
       [](SweepOrigin& origin, const std::string& text) { origin.host = text; }},
      {"date", [](const SweepOrigin& origin) { return origin.date; },
       [](SweepOrigin& origin, const std::string& text) { origin.date = text; }},
  };
  return lines;
}

// A cell of one line, quoted where commas or quotes ask for it.
std::string cell(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  if (text.find_first_of(",\"#") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

SweepOrigin read_head(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != first_line)
    throw InputError({name, 1, 1}, "not a file of samples",
                     fmt::format("expected '{}' as echelon calibrate --raw writes it", first_line));
  SweepOrigin origin;
  while (std::getline(lines, line) && line.rfind("# ", 0) == 0)
    for (const HeadLine& known : head_lines()) {
      const std::string start = fmt::format("# {}: ", known.name);
      if (line.rfind(start, 0) == 0) known.set(origin, line.substr(start.size()));
    }
  return origin;
}

std::int64_t whole_number(const CsvTable& table, std::size_t row, std::size_t column) {
  const double value = table.number(row, column).value_or(0);
  if (value < 0 || value > 9e15 || value != std::floor(value))
    table.fail(row, column, "'" + table.cell(row, column).text + "'", "expected a whole number, 0 or more");
  return static_cast<std::int64_t>(value);
}

Sample read_row(const CsvTable& table, std::size_t row) {
  Sample sample;
  for (const TextColumn& column : text_columns)
    sample.benchmark.*column.member = table.cell(row, table.require_column(column.name)).text;
  for (const CountColumn& column : count_columns)
    sample.benchmark.*column.member = whole_number(table, row, table.require_column(column.name));
  const std::size_t outcome_at = table.require_column("outcome");
  const auto outcome = from_name<Outcome>(table.cell(row, outcome_at).text);
  if (!outcome)
    table.fail(row, outcome_at, "'" + table.cell(row, outcome_at).text + "'", "expected " + all_names<Outcome>());
  sample.outcome = *outcome;
  for (const FigureColumn& column : figure_columns()) {
    const std::size_t at = table.require_column(column.name);
    const double value = table.number(row, at).value_or(0);
    if (value < 0) table.fail(row, at, "'" + table.cell(row, at).text + "'", "expected 0 or more");
    column.set(sample, value);
  }
  if (sample.outcome == Outcome::measured && !(sample.time > Seconds(0)))
    table.fail(row, table.require_column("time_us"), "no time", "expected a time above 0 of what was measured");
  sample.note = table.cell(row, table.require_column("note")).text;
  return sample;
}

SampleSet parse_samples(const std::string& text, const std::string& name) {
  SampleSet set;
  set.origin = read_head(text, name);
  const CsvTable table = CsvTable::parse(text, name);
  std::set<std::string> seen;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Sample sample = read_row(table, row);
    if (seen.insert(sample.benchmark.key()).second) set.samples.push_back(std::move(sample));
  }
  return set;
}

// Text of a plain or gzip file; zlib reads both.
std::string read_text(const std::filesystem::path& path) {
  const InputError broken({path.string(), 0, 0}, "broken gzip data", "a whole .csv.gz file");
  if (path.extension() != ".gz") return read_text_file(path, "file of samples");
  read_text_file(path, "file of samples");  // for its checks of what may be a file
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw InputError({path.string(), 0, 0}, "cannot be read", "a readable file of samples");
  std::string text;
  std::array<char, 65536> block{};
  int got = 0;
  while ((got = gzread(file, block.data(), block.size())) > 0 && text.size() <= largest_text_file)
    text.append(block.data(), static_cast<std::size_t>(got));
  int status = Z_OK;
  gzerror(file, &status);
  gzclose(file);
  if (got < 0 || status != Z_OK || text.size() > largest_text_file) throw broken;
  return text;
}

// As gzip where the name without its last part ends so.
void write_all(const std::filesystem::path& path, const std::string& text) {
  bool written = false;
  if (path.stem().extension() == ".gz") {
    gzFile file = gzopen(path.c_str(), "wb9");
    if (file != nullptr) {
      const auto size = static_cast<unsigned>(text.size());
      written = gzwrite(file, text.data(), size) == static_cast<int>(size);
      written = gzclose(file) == Z_OK && written;
    }
  } else {
    std::ofstream out(path, std::ios::binary);
    out << text;
    written = out.flush().good();
  }
  if (!written) throw InputError({path.string(), 0, 0}, "cannot be written", "a writable place with room");
}

// Cuts off a line that a kill left unfinished.
void drop_broken_line(const std::filesystem::path& part) {
  std::string text = read_text_file(part, "file of samples");
  const std::size_t end = text.rfind('\n');
  std::filesystem::resize_file(part, end == std::string::npos ? 0 : end + 1);
}

// Whether the last row is of a benchmark that was lost and stands behind the last process_line.
bool last_row_is_loss(const std::string& text, const SampleSet& set) {
  const std::size_t mark = text.rfind(process_line);
  if (set.samples.empty() || set.samples.back().outcome != Outcome::lost) return false;
  return mark == std::string::npos || text.find('\n', mark) + 1 < text.size();
}

void refuse_other_machine(const SweepOrigin& before, const SweepOrigin& now, const std::string& file) {
  for (const char* name : {"gpu", "driver", "cuda", "cublas", "nccl", "cudnn"})
    for (const HeadLine& line : head_lines())
      if (line.name == std::string_view(name) && line.get(before) != line.get(now))
        throw InputError(
            {file, 1, 1},
            fmt::format("holds samples of {} '{}', but this machine has '{}'", name, line.get(before), line.get(now)),
            "another file for --raw");
}

}  // namespace

std::string csv_head(const SweepOrigin& origin) {
  std::string text = fmt::format("{}\n", first_line);
  for (const HeadLine& line : head_lines()) text += fmt::format("# {}: {}\n", line.name, line.get(origin));
  for (const TextColumn& column : text_columns) text += fmt::format("{},", column.name);
  for (const CountColumn& column : count_columns) text += fmt::format("{},", column.name);
  text += "outcome";
  for (const FigureColumn& column : figure_columns()) text += fmt::format(",{}", column.name);
  return text + ",note\n";
}

std::string to_csv_row(const Sample& sample) {
  std::string text;
  for (const TextColumn& column : text_columns) text += cell(sample.benchmark.*column.member) + ",";
  for (const CountColumn& column : count_columns) {
    const std::int64_t value = sample.benchmark.*column.member;
    text += value == 0 ? "," : fmt::format("{},", value);
  }
  text += name_of(sample.outcome);
  for (const FigureColumn& column : figure_columns()) {
    const double value = column.get(sample);
    text += value == 0 ? "," : fmt::format(",{:.7g}", value);
  }
  return text + "," + cell(sample.note) + "\n";
}

SampleSet read_samples(const std::filesystem::path& path) {
  std::string text = read_text(path);
  if (const std::size_t end = text.rfind('\n'); end != std::string::npos) text.resize(end + 1);  // killed within a line
  return parse_samples(text, path.string());
}

SampleJournal::SampleJournal(std::filesystem::path path, SweepOrigin origin)
    : path_(std::move(path)), part_(path_.string() + ".part"), set_{std::move(origin), {}} {
  const auto take = [&](SampleSet before) {
    refuse_other_machine(before.origin, set_.origin, path_.string());
    set_.origin = before.origin;
    for (Sample& sample : before.samples)
      if (keys_.insert(sample.benchmark.key()).second) set_.samples.push_back(std::move(sample));
  };
  if (std::filesystem::exists(path_)) take(read_samples(path_));
  if (std::filesystem::exists(part_)) {
    drop_broken_line(part_);
    const std::string text = read_text_file(part_, "file of samples");
    if (text.find("\nfamily,") != std::string::npos) {
      SampleSet before = parse_samples(text, part_.string());
      ended_in_loss_ = last_row_is_loss(text, before);
      take(std::move(before));
    } else {
      std::filesystem::remove(part_);  // killed within the head
    }
  }
  const bool fresh = !std::filesystem::exists(part_);
  out_.open(part_, std::ios::binary | std::ios::app);
  if (fresh) out_ << csv_head(set_.origin);
  if (!out_.flush()) throw InputError({part_.string(), 0, 0}, "cannot be written", "a writable place for --raw");
}

void SampleJournal::write(const std::string& text) {
  out_ << text;
  if (!out_.flush()) throw InputError({part_.string(), 0, 0}, "cannot be written", "a disk with room");
}

void SampleJournal::mark_process() {
  write(fmt::format("{}\n", process_line));
}

void SampleJournal::append(const Sample& sample) {
  write(to_csv_row(sample));
  keys_.insert(sample.benchmark.key());
  set_.samples.push_back(sample);
}

void SampleJournal::finish() {
  std::string text = csv_head(set_.origin);
  for (const Sample& sample : set_.samples) text += to_csv_row(sample);
  const std::filesystem::path whole = path_.string() + ".whole";  // renamed when it is complete
  write_all(whole, text);
  std::filesystem::rename(whole, path_);
  out_.close();
  std::filesystem::remove(part_);
}

}  // namespace echelon
