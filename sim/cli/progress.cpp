#include "sim/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include "sim/report/number_text.h"

namespace echelon {

namespace {

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

Progress::Progress(std::int64_t total, std::int64_t done)
    : visible_(isatty(STDERR_FILENO) != 0), total_(total), first_(done) {}

Progress::~Progress() {
  if (visible_) fmt::print(stderr, "\r\033[K");
}

void Progress::show(std::int64_t done) {
  const auto now = Clock::now();
  if (!visible_ || now - shown_ < std::chrono::milliseconds(200)) return;
  shown_ = now;
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  const double rate = static_cast<double>(done - first_) / elapsed;
  const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
  fmt::print(stderr, "\r\033[K  {} {:.1f} % {} of {}, {} points/s, {} left", bar(share, 20), 100 * share,
             grouped(static_cast<double>(done)), grouped(static_cast<double>(total_)), grouped(rate), clock_text(left));
  std::fflush(stderr);
}

}  // namespace echelon
