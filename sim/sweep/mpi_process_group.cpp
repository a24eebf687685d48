#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "sim/sweep/process_group.h"
#include "sim/sweep/range_ledger.h"
#include "sim/sweep/row_message.h"

namespace echelon {

namespace {

constexpr int leader = 0;
constexpr std::int64_t chunk = 32;
constexpr int ranges_ahead = 2;               // that a worker has, so that it need not wait for the leader's answer
constexpr std::size_t window_a_process = 64;  // ranges

enum Tag { tag_range = 1, tag_end, tag_rows, tag_failure, tag_goodbye };

struct Envelope {
  int source = 0;
  int tag = 0;
  int bytes = 0;
};

// A message that waits, if there is one.
std::optional<Envelope> waiting(int source, int tag) {
  int there = 0;
  MPI_Status status;
  MPI_Iprobe(source, tag, MPI_COMM_WORLD, &there, &status);
  if (there == 0) return std::nullopt;
  Envelope envelope{status.MPI_SOURCE, status.MPI_TAG, 0};
  MPI_Get_count(&status, MPI_BYTE, &envelope.bytes);
  return envelope;
}

std::string receive(const Envelope& envelope) {
  std::string message(static_cast<std::size_t>(envelope.bytes), '\0');
  MPI_Recv(message.data(), envelope.bytes, MPI_BYTE, envelope.source, envelope.tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return message;
}

void send(int to, Tag tag, const std::string& message = {}) {
  MPI_Send(message.data(), static_cast<int>(message.size()), MPI_BYTE, to, tag, MPI_COMM_WORLD);
}

class MpiGroup : public ProcessGroup {
 public:
  MpiGroup() {
    MPI_Init(nullptr, nullptr);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  MpiGroup(const MpiGroup&) = delete;
  MpiGroup& operator=(const MpiGroup&) = delete;
  ~MpiGroup() override {
    if (leads()) dismiss();
    MPI_Finalize();
  }

  int size() const { return size_; }
  bool leads() const override { return rank_ == leader; }

  void sweep(PointEvaluator& evaluator, RowSink& sink, const SweepOptions& options) override {
    const Space& space = evaluator.space();
    check_last_row(evaluator, sink);
    RangeLedger ledger(sink.next_point(), space.size(), chunk, window_a_process * static_cast<std::size_t>(size_));
    for (int ahead = 0; ahead < ranges_ahead; ++ahead)
      for (int worker = 1; worker < size_; ++worker) give_range(ledger, worker);
    const auto serve = [&] {
      take_messages(ledger, space);
      while (const auto result = ledger.next()) {
        if (!result->rows.empty()) sink.write(result->rows);
        if (options.written) options.written(result->rows, result->range.last);
      }
    };
    while (!ledger.finished()) {
      serve();
      if (const auto range = ledger.take()) compute_beside(evaluator, *range, ledger, serve);
    }
  }

  void work(const std::function<std::unique_ptr<PointEvaluator>()>& make) override {
    try {
      const auto evaluator = make();
      while (const auto range = next_range()) compute(*evaluator, *range);
    } catch (const std::exception& error) {
      send(leader, tag_failure, error.what());
      while (next_range()) continue;
    }
    send(leader, tag_goodbye);
  }

 private:
  // Of the leader.

  void give_range(RangeLedger& ledger, int worker) {
    const auto range = ledger.take();
    if (!range) return;  // all are back: the end comes next
    MPI_Send(&*range, sizeof *range, MPI_BYTE, worker, tag_range, MPI_COMM_WORLD);
  }

  void take_messages(RangeLedger& ledger, const Space& space) {
    while (const auto envelope = waiting(MPI_ANY_SOURCE, MPI_ANY_TAG)) {
      const std::string message = receive(*envelope);
      if (envelope->tag == tag_failure)
        throw InputError({fmt::format("process {}", envelope->source), 0, 0}, message, "");
      ledger.put(rows_of_message(message, space));
      give_range(ledger, envelope->source);
    }
  }

  // Its own range, the others' messages between any two points.
  template <class Serve>
  static void compute_beside(PointEvaluator& evaluator, const PointRange& range, RangeLedger& ledger, Serve serve) {
    RangeRows result{range, {}};
    for (std::int64_t point = range.first; point < range.last; ++point) {
      add_row(evaluator, point, result.rows);
      serve();
      if (ledger.is_back(range)) return;
    }
    ledger.put(std::move(result));
  }

  void dismiss() const {
    for (int worker = 1; worker < size_; ++worker) send(worker, tag_end);
    for (int left = size_ - 1; left > 0;) {
      const auto envelope = waiting(MPI_ANY_SOURCE, MPI_ANY_TAG);
      if (!envelope) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      receive(*envelope);
      left -= envelope->tag == tag_goodbye ? 1 : 0;
    }
  }

  // Of the others.

  // Nothing once the leader has dismissed this process; ranges that still wait then are dropped.
  static std::optional<PointRange> next_range() {
    MPI_Status status;
    MPI_Probe(leader, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    if (is_dismissed()) return std::nullopt;
    PointRange range;
    MPI_Recv(&range, sizeof range, MPI_BYTE, leader, tag_range, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return range;
  }

  static bool is_dismissed() {
    if (!waiting(leader, tag_end)) return false;
    while (const auto envelope = waiting(leader, tag_range)) receive(*envelope);
    return true;
  }

  static void compute(PointEvaluator& evaluator, const PointRange& range) {
    RangeRows result{range, {}};
    for (std::int64_t point = range.first; point < range.last; ++point) {
      if (waiting(leader, tag_end)) return;
      add_row(evaluator, point, result.rows);
    }
    send(leader, tag_rows, message_of(result));
  }

  int rank_ = 0;
  int size_ = 1;
};

// What launchers of Open MPI, MPICH and others set; a process that stands alone need not wake MPI.
bool was_launched() {
  constexpr auto names = std::to_array<const char*>({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"});
  return std::any_of(names.begin(), names.end(), [](const char* name) { return std::getenv(name) != nullptr; });
}

}  // namespace

std::unique_ptr<ProcessGroup> ProcessGroup::join() {
  if (!was_launched()) return nullptr;
  auto group = std::make_unique<MpiGroup>();
  if (group->size() == 1) return nullptr;
  return group;
}

}  // namespace echelon
