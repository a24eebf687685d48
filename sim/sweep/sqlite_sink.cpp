#include "sim/sweep/sqlite_sink.h"

#include <sqlite3.h>

#include <cmath>

namespace echelon {

namespace {

[[noreturn]] void fail(sqlite3* database, const std::filesystem::path& file) {
  throw InputError({file.string(), 0, 0}, fmt::format("SQLite: {}", sqlite3_errmsg(database)),
                   "expected a database that can be written");
}

std::string quoted(const std::string& name) {
  return "\"" + name + "\"";
}

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

class SqliteSink : public RowSink {
 public:
  SqliteSink(std::filesystem::path file, const Space& space) : file_(std::move(file)), space_(space) {
    sqlite3* opened = nullptr;
    const int code = sqlite3_open(file_.c_str(), &opened);
    database_.reset(opened);
    if (code != SQLITE_OK) fail(opened, file_);
    create_table();
    insert_ = prepare(insert_text());
    find_end();
  }

  std::int64_t next_point() const override { return next_; }
  std::string last_line() const override { return last_line_; }
  SourceLocation last_place() const override { return {file_.string(), 0, 0}; }
  std::string line(const Row& row) const override {
    std::string text = fmt::format("{} {} {}", row.point, name_of(row.status), row.reason);
    for (const double value : row.values)
      if (!std::isnan(value)) text += fmt::format(" {}", value);
    return text;
  }

  void write(const std::vector<Row>& rows) override {
    run("BEGIN");
    for (const Row& row : rows) insert(row);
    run("COMMIT");
  }

 private:
  Statement prepare(const std::string& text) const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database_.get(), text.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      fail(database_.get(), file_);
    return Statement(statement);
  }

  void run(const std::string& text) const {
    if (sqlite3_exec(database_.get(), text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      fail(database_.get(), file_);
  }

  void create_table() const {
    std::string text = "CREATE TABLE IF NOT EXISTS points (point INTEGER PRIMARY KEY";
    for (const SpaceAxis& axis : space_.axes()) text += ", " + quoted(axis.key);
    text += ", status TEXT, reason TEXT";
    for (const std::string& column : value_columns()) text += ", " + quoted(column) + " REAL";
    run("PRAGMA synchronous = NORMAL");
    run(text + ")");
  }

  std::string insert_text() const {
    std::string text = "INSERT INTO points VALUES (?";
    for (std::size_t i = 1; i < row_columns(space_).size(); ++i) text += ", ?";
    return text + ")";
  }

  void insert(const Row& row) const {
    sqlite3_stmt* statement = insert_.get();
    int at = 0;
    sqlite3_bind_int64(statement, ++at, row.point);
    for (std::size_t i = 0; i < row.digits.size(); ++i) {
      const AxisValue& value = space_.axes()[i].values[row.digits[i]];
      if (const auto* number = std::get_if<double>(&value.value))
        sqlite3_bind_double(statement, ++at, *number);
      else
        bind_text(statement, ++at, value.text);
    }
    bind_text(statement, ++at, std::string(name_of(row.status)));
    bind_text(statement, ++at, row.reason);
    for (std::size_t i = 0; i < value_columns().size(); ++i) {
      ++at;
      if (i < row.values.size() && !std::isnan(row.values[i]))
        sqlite3_bind_double(statement, at, row.values[i]);
      else
        sqlite3_bind_null(statement, at);
    }
    if (sqlite3_step(statement) != SQLITE_DONE) fail(database_.get(), file_);
    sqlite3_reset(statement);
  }

  static void bind_text(sqlite3_stmt* statement, int at, const std::string& text) {
    sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }

  void find_end() {
    const Statement last = prepare("SELECT * FROM points ORDER BY point DESC LIMIT 1");
    if (sqlite3_step(last.get()) != SQLITE_ROW) return;
    const auto text = [&](int column) {
      const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(last.get(), column));
      return std::string(bytes == nullptr ? "" : bytes);
    };
    next_ = sqlite3_column_int64(last.get(), 0) + 1;
    const int status = 1 + static_cast<int>(space_.axes().size());
    last_line_ = fmt::format("{} {} {}", next_ - 1, text(status), text(status + 1));
    for (int i = status + 2; i < sqlite3_column_count(last.get()); ++i)
      if (sqlite3_column_type(last.get(), i) != SQLITE_NULL)
        last_line_ += fmt::format(" {}", sqlite3_column_double(last.get(), i));
  }

  std::filesystem::path file_;
  const Space& space_;
  Database database_;
  Statement insert_;
  std::int64_t next_ = 0;
  std::string last_line_;
};

}  // namespace

std::unique_ptr<RowSink> sqlite_sink(const std::filesystem::path& file, const Space& space) {
  return std::make_unique<SqliteSink>(file, space);
}

}  // namespace echelon
