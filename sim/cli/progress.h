// How far long work has come, on a terminal only: a line on standard error that is drawn over itself.
#pragma once

#include <chrono>
#include <cstdint>

namespace echelon {

class Progress {
 public:
  // `total` of what is to be done, `done` of it already.
  Progress(std::int64_t total, std::int64_t done);
  ~Progress();  // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::int64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  bool visible_;
  std::int64_t total_;
  std::int64_t first_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point shown_;
};

}  // namespace echelon
