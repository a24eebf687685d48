#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "calibrate/gpu/cuda/context.h"
#include "calibrate/gpu/cuda/event.h"

namespace echelon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double least_microseconds_a_run = 400;  // events resolve half a microsecond
constexpr double seconds_between_conditions = 0.5;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A graph of some launches, ready to replay.
class Graph {
 public:
  Graph(cudaStream_t stream, const std::function<void()>& enqueue) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      enqueue();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph_);  // a stream left capturing would fail every later call
      if (graph_ != nullptr) cudaGraphDestroy(graph_);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph_), "cudaStreamEndCapture");
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph_, 0);
    if (status != cudaSuccess) cudaGraphDestroy(graph_);  // the destructor is not run
    check(status, "cudaGraphInstantiate");
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
    cudaGraphDestroy(graph_);
  }
  void replay(cudaStream_t stream) { check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch"); }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

void warm_up(Context& context, const std::function<void()>& run, const Effort& effort) {
  const auto start = Clock::now();
  do {
    run();
    check(cudaStreamSynchronize(context.stream), "warm-up");
  } while (seconds_since(start) < effort.seconds / 5);
}

// Runs are enqueued in blocks behind one that is not timed, so that the host's launches never show as gaps.
Reading time_blocks(Context& context, const std::function<void()>& run, int launches, const Effort& effort) {
  warm_up(context, run, effort);
  Reading reading;
  const auto start = Clock::now();
  auto asked = start;
  while (static_cast<int>(reading.microseconds.size()) < effort.most_runs) {
    std::vector<Event> events(static_cast<std::size_t>(std::max(effort.least_runs, 1)) + 1);
    run();
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (i > 0) run();
      events[i].record(context.stream);
    }
    // While the device works, but seldom: an answer may take NVML longer than a block of runs.
    if (reading.microseconds.empty() || seconds_since(asked) > seconds_between_conditions) {
      reading.conditions = context.nvml.conditions();
      asked = Clock::now();
    }
    check(cudaStreamSynchronize(context.stream), "timed runs");
    for (std::size_t i = 1; i < events.size(); ++i)
      reading.microseconds.push_back(events[i].microseconds_since(events[i - 1]) / launches);
    if (seconds_since(start) > effort.seconds) break;
  }
  return reading;
}

double first_guess(Context& context, const Launch& launch) {
  launch(0, context.stream);  // loads the kernel
  check(cudaStreamSynchronize(context.stream), "first launch");
  Event before, after;
  before.record(context.stream);
  launch(0, context.stream);
  after.record(context.stream);
  check(cudaStreamSynchronize(context.stream), "second launch");
  return std::max(after.microseconds_since(before), 0.5);
}

}  // namespace

Reading time_captured(Context& context, const Launch& launch, int copies, const Effort& effort) {
  const double guess = first_guess(context, launch);
  const int enough = static_cast<int>(std::ceil(least_microseconds_a_run / guess));
  const int launches = std::clamp(std::max(enough, copies), 1, Context::most_launches_a_run);
  const auto enqueue = [&] {
    for (int i = 0; i < launches; ++i) launch(i % copies, context.stream);
  };
  std::unique_ptr<Graph> graph;
  try {
    graph = std::make_unique<Graph>(context.stream, enqueue);
  } catch (const DeviceError&) {
    return time_blocks(context, enqueue, launches, effort);
  }
  return time_blocks(
      context, [&] { graph->replay(context.stream); }, launches, effort);
}

Reading time_streamed(Context& context, const Launch& launch, int launches, const Effort& effort) {
  first_guess(context, launch);
  const auto run = [&] {
    for (int i = 0; i < launches; ++i) launch(i, context.stream);
  };
  return time_blocks(context, run, launches, effort);
}

Reading time_beside(Context& context, const Launch& launch, const std::function<void()>& beside, const Effort& effort) {
  const auto block = [&](int runs) {
    std::vector<Event> before(static_cast<std::size_t>(runs)), after(before.size());
    for (std::size_t run = 0; run < before.size(); ++run) {
      beside();
      before[run].record(context.stream);
      launch(0, context.stream);
      after[run].record(context.stream);
    }
    check(cudaStreamSynchronize(context.stream), "timed runs");
    std::vector<double> times;
    for (std::size_t run = 0; run < before.size(); ++run) times.push_back(after[run].microseconds_since(before[run]));
    return times;
  };
  return time_in_blocks(context, block, effort);
}

Reading time_in_blocks(Context& context, const std::function<std::vector<double>(int runs)>& block,
                       const Effort& effort) {
  block(1);
  Reading reading;
  const auto start = Clock::now();
  while (static_cast<int>(reading.microseconds.size()) < effort.most_runs) {
    const std::vector<double> times = block(effort.least_runs);
    reading.microseconds.insert(reading.microseconds.end(), times.begin(), times.end());
    if (seconds_since(start) > effort.seconds) break;
  }
  reading.conditions = context.nvml.conditions();
  return reading;
}

Reading time_on_host(Context& context, const std::function<void()>& call, const Effort& effort) {
  Reading reading;
  call();
  const auto start = Clock::now();
  while (static_cast<int>(reading.microseconds.size()) < effort.most_runs) {
    const auto before = Clock::now();
    call();
    reading.microseconds.push_back(1e6 * seconds_since(before));
    const bool enough = static_cast<int>(reading.microseconds.size()) >= effort.least_runs;
    if (enough && seconds_since(start) > effort.seconds) break;
  }
  reading.conditions = context.nvml.conditions();
  return reading;
}

}  // namespace echelon
