#include "sim/sweep/sink.h"

#include <fstream>
#include <sstream>

#include "sim/sweep/sqlite_sink.h"
#include "sim/sweep/text_sink.h"

namespace echelon {

namespace {

std::filesystem::path note_of(const std::filesystem::path& file) {
  return file.string() + ".sweep";
}

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

// Written under another name first, so that a note is whole or absent.
void write_note(const std::filesystem::path& note, const std::string& identity) {
  const std::filesystem::path draft = note.string() + ".new";
  std::ofstream(draft, std::ios::binary) << identity;
  std::error_code error;
  std::filesystem::rename(draft, note, error);
  if (error)
    throw InputError({note.string(), 0, 0}, "cannot write: " + error.message(),
                     "expected a folder that can be written");
}

void claim(const std::filesystem::path& file, const std::string& identity) {
  const std::filesystem::path note = note_of(file);
  std::error_code error;
  const bool has_rows = std::filesystem::exists(file, error) && std::filesystem::file_size(file, error) > 0;
  if (!std::filesystem::exists(note, error)) {
    if (has_rows)
      throw InputError({file.string(), 0, 0}, "there is such a file, and no sweep wrote it", "expected another name");
    write_note(note, identity);
    return;
  }
  if (text_of(note) == identity) return;
  if (has_rows)
    throw InputError({file.string(), 0, 0}, "a sweep of another space, or of another version, has begun there",
                     "expected --restart to discard it, or another name");
  write_note(note, identity);
}

}  // namespace

RowFormat format_of(const std::filesystem::path& file) {
  const std::string ending = file.extension().string();
  if (ending == ".csv") return RowFormat::csv;
  if (ending == ".jsonl") return RowFormat::json_lines;
  if (ending == ".sqlite" || ending == ".db") return RowFormat::sqlite;
  throw InputError({file.string(), 0, 0}, "the ending names no format", "expected .csv, .jsonl, .sqlite or .db");
}

std::unique_ptr<RowSink> file_sink(const std::filesystem::path& file, const Space& space, const std::string& identity) {
  const RowFormat format = format_of(file);
  claim(file, identity);
  if (format == RowFormat::sqlite) return sqlite_sink(file, space);
  return text_file_sink(file, format, space);
}

void discard(const std::filesystem::path& file) {
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  std::filesystem::remove(file.string() + "-journal", ignored);  // what a killed SQLite left to be undone
  std::filesystem::remove(note_of(file), ignored);
}

}  // namespace echelon
