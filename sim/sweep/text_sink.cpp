#include "sim/sweep/text_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace echelon {

namespace {

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& action) {
  throw InputError({file.string(), 0, 0}, fmt::format("cannot {}: {}", action, std::strerror(errno)),
                   "expected a file that can be written");
}

// The descriptor of an open file, closed with the object unless it is standard output.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ > STDERR_FILENO) close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

class TextSink : public RowSink {
 public:
  TextSink(int descriptor, std::filesystem::path file, RowFormat format, const Space& space)
      : descriptor_(descriptor), file_(std::move(file)), format_(format), space_(space) {}

  // Reads the end of what is there, cuts a torn line off and writes the header of an empty file.
  void resume() {
    const std::int64_t whole = behind_line_end(length());
    if (ftruncate(descriptor_.number(), whole) != 0) fail(file_, "cut off a torn line");
    if (lseek(descriptor_.number(), whole, SEEK_SET) < 0) fail(file_, "go to the end");
    const std::int64_t header =
        format_ == RowFormat::csv ? static_cast<std::int64_t>(csv_header(space_).size()) + 1 : 0;
    if (whole < header || whole == 0) {
      if (ftruncate(descriptor_.number(), 0) != 0) fail(file_, "cut off a torn line");
      lseek(descriptor_.number(), 0, SEEK_SET);
      write_header();
    } else if (whole > header) {
      last_line_ = line_before(whole);
      next_ = point_of_line(last_line_) + 1;
    }
  }

  void write_header() {
    if (format_ == RowFormat::csv) put(csv_header(space_) + "\n");
  }

  std::int64_t next_point() const override { return next_; }
  std::string last_line() const override { return last_line_; }
  SourceLocation last_place() const override { return {file_.string(), lines(), 1}; }
  std::string line(const Row& row) const override {
    return format_ == RowFormat::csv ? csv_line(space_, row) : json_line(space_, row);
  }
  void write(const std::vector<Row>& rows) override {
    std::string text;
    for (const Row& row : rows) text += line(row) + "\n";
    put(text);
  }

 private:
  static constexpr std::int64_t block = 65536;  // that is read at a time

  void put(const std::string& text) const {
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t written = ::write(descriptor_.number(), text.data() + done, text.size() - done);
      if (written < 0 && errno != EINTR) fail(file_, "write");
      done += static_cast<std::size_t>(std::max<ssize_t>(written, 0));
    }
  }

  std::string read_at(std::int64_t from, std::int64_t to) const {
    std::string text(static_cast<std::size_t>(to - from), '\0');
    const ssize_t got = pread(descriptor_.number(), text.data(), text.size(), from);
    if (got != static_cast<ssize_t>(text.size())) fail(file_, "read");
    return text;
  }

  // Where the last line end before `end` stands, plus one; 0 where there is none.
  std::int64_t behind_line_end(std::int64_t end) const {
    while (end > 0) {
      const std::int64_t from = std::max<std::int64_t>(0, end - block);
      const std::size_t found = read_at(from, end).rfind('\n');
      if (found != std::string::npos) return from + static_cast<std::int64_t>(found) + 1;
      end = from;
    }
    return 0;
  }

  std::int64_t length() const {
    struct stat status {};
    if (fstat(descriptor_.number(), &status) != 0) fail(file_, "read");
    return status.st_size;
  }

  int lines() const {
    std::ptrdiff_t count = 0;
    const std::int64_t end = length();
    for (std::int64_t from = 0; from < end; from += block) {
      const std::string text = read_at(from, std::min(end, from + block));
      count += std::count(text.begin(), text.end(), '\n');
    }
    return static_cast<int>(count);
  }

  std::string line_before(std::int64_t end) const { return read_at(behind_line_end(end - 1), end - 1); }

  std::int64_t point_of_line(const std::string& text) const {
    const std::size_t first = format_ == RowFormat::csv ? 0 : std::string_view(R"({"point":)").size();
    std::int64_t point = -1;
    const char* end = text.data() + text.size();
    if (first >= text.size() || std::from_chars(text.data() + first, end, point).ec != std::errc())
      throw InputError(last_place(), "the last line is no row of a sweep", "expected --restart, or another file");
    return point;
  }

  Descriptor descriptor_;
  std::filesystem::path file_;
  RowFormat format_;
  const Space& space_;
  std::int64_t next_ = 0;
  std::string last_line_;
};

}  // namespace

std::unique_ptr<RowSink> text_file_sink(const std::filesystem::path& file, RowFormat format, const Space& space) {
  constexpr int mode = 0644;
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode);
  if (descriptor < 0) fail(file, "open");
  auto sink = std::make_unique<TextSink>(descriptor, file, format, space);
  sink->resume();
  return sink;
}

std::unique_ptr<RowSink> standard_output_sink(RowFormat format, const Space& space) {
  auto sink = std::make_unique<TextSink>(STDOUT_FILENO, "standard output", format, space);
  sink->write_header();
  return sink;
}

}  // namespace echelon
