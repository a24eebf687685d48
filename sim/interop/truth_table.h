// Measured training runs that others published, one a row: the input of `echelon validate`.
//
// A column that the file does not have reads as blank, but `id`, which must be there; columns of other names are
// ignored. Numbers are refused with file:line:column where they are no numbers, or negative, or counts that are not
// whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace echelon {

struct TruthRow {
  std::string file;  // where the row stands
  int line = 0;

  std::string id;
  std::string source;
  std::string url_or_path;
  std::string model;
  std::optional<double> params_b;  // billions of parameters
  std::optional<std::int64_t> layers;
  std::optional<std::int64_t> hidden;
  std::optional<std::int64_t> ffn;
  std::optional<std::int64_t> heads;
  std::optional<std::int64_t> kv_heads;
  std::optional<std::int64_t> vocab;
  std::optional<std::int64_t> seq_len;  // tokens
  std::string gpu;
  std::optional<std::int64_t> gpus;
  std::optional<std::int64_t> gpus_per_node;
  std::string interconnect;
  std::optional<std::int64_t> dp;  // gpus / (tp * pp * cp)
  std::optional<std::int64_t> tp;
  std::optional<std::int64_t> pp;
  std::optional<std::int64_t> vpp;  // chunks a pipeline rank
  std::optional<std::int64_t> cp;
  std::optional<std::int64_t> ep;
  std::optional<std::int64_t> etp;
  std::string zero_or_fsdp;
  std::string seq_parallel;
  std::string schedule;
  std::string recompute;
  std::string precision;
  std::optional<std::int64_t> micro_batch;   // sequences of a data-parallel rank
  std::optional<std::int64_t> global_batch;  // sequences
  std::optional<double> iter_time_s;
  std::optional<double> tokens_per_s_per_gpu;
  std::optional<double> tflops_per_gpu;
  std::optional<double> mfu;           // 0..1
  std::optional<double> peak_mem_gib;  // as the source counts it
  std::string notes;
  std::string confidence;
};

// Throws InputError with the place of what is wrong.
std::vector<TruthRow> read_truth(const std::filesystem::path& path);
// The same for text in memory; `name` stands for the file.
std::vector<TruthRow> parse_truth(std::string_view text, const std::string& name);

// What a column of the row says, numbers in their shortest form, "" where it is blank; nothing for a name that is no
// column.
std::optional<std::string> truth_text(const TruthRow& row, std::string_view column);

}  // namespace echelon
