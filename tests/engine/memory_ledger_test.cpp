#include "sim/engine/memory_ledger.h"

#include "tests/catch.h"

using namespace echelon;

TEST_CASE("the peak counts what is held, what is transient, and frees before it takes") {
  Program program;
  std::vector<TaskTime> times;
  const auto run = [&](std::int64_t from, std::int64_t to, MemoryEffect effect) {
    program.append(Task{});
    program.effect(effect);
    times.push_back({Time::from_picoseconds(from), Time::from_picoseconds(to), {-1, -1}});
  };
  run(0, 10, {MemoryCategory::activations, Bytes(5), Bytes(10), Bytes(0)});
  run(10, 20, {MemoryCategory::activations, Bytes(7), Bytes(10), Bytes(0)});
  run(20, 30, {MemoryCategory::activations, Bytes(2), Bytes(0), Bytes(-20)});
  std::array<Bytes, memory_category_count> resident{};
  resident[static_cast<std::size_t>(MemoryCategory::parameters)] = Bytes(100);
  const MemoryPeak peak = memory_peak(program, times, resident);
  // During the second task: 100 resident + 10 kept + 10 kept + 7 transient; the first task's 5 ended at the same
  // instant.
  CHECK(peak.total().value() == 127);
  CHECK(peak.when.picoseconds() == 10);
}
