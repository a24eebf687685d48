#include "sim/engine/replay.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <queue>

#include "sim/base/error.h"

namespace echelon {

namespace {

// A task starts (its host issue time has come) or ends; stale entries have an old generation.
struct Event {
  Time time;
  std::int64_t sequence = 0;
  std::int32_t program = 0;
  Stream stream = Stream::compute;
  bool starts = false;
  std::int32_t generation = 0;
};

struct LaterFirst {
  bool operator()(const Event& a, const Event& b) const {
    return a.time != b.time ? a.time > b.time : a.sequence > b.sequence;
  }
};

struct StreamState {
  TaskId next = -1;  // first that has not ended; -1: none is left
  bool running = false;
  bool start_scheduled = false;
  bool on_links = false;        // the running task ends when its traffic does
  std::int32_t generation = 0;  // of the end event that counts
  Time updated;                 // when `remaining` was last brought up to date
  double remaining = 0;         // picoseconds of device work left at full speed
  Time host_end;                // of the running task
  Time end;                     // of the running task, as things stand
  // Of a compute task whose layers send; null: none, or all its turns are over.
  const LayerFlows* layers = nullptr;
  std::size_t turn = 0;
  bool sending = false;  // the turn's flows have begun
  int parts = 0;         // of compute and flows, those of the turn under way
  Time computed;         // when its compute beside them was through
};

struct ProgramState {
  std::array<StreamState, stream_count> streams;
  std::size_t first = 0;  // of its tasks among those of all programs
  Time host_clock;
};

class Replay {
 public:
  Replay(const TaskGraph& graph, const std::vector<WorkTime>& times, const ReplayOptions& options)
      : graph_(graph), times_(times), options_(options), states_(graph.programs.size()) {
    timeline_.tasks.resize(graph.programs.size());
    std::size_t tasks = 0;
    for (std::size_t p = 0; p < states_.size(); ++p) {
      states_[p].first = tasks;
      tasks += graph.programs[p].tasks.size();
    }
    unmet_.resize(tasks);
    following_.resize(tasks);
    dependents_first_.resize(tasks + 1);
    for (std::size_t p = 0; p < states_.size(); ++p) prepare(p);
    link_dependents();
    if (options.traffic != nullptr) traffic_.emplace(*options.traffic);
  }

  std::variant<Timeline, Deadlock> run() {
    for (std::size_t p = 0; p < states_.size(); ++p)
      for (std::size_t s = 0; s < stream_count; ++s) try_start(p, static_cast<Stream>(s));
    while (!events_.empty() || traffic_event() < Time::max()) {
      if (events_.empty() || traffic_event() < events_.top().time) {
        advance_traffic(traffic_event());
        continue;
      }
      const Event event = events_.top();
      events_.pop();
      now_ = event.time;
      handle(event);
    }
    for (std::size_t p = 0; p < states_.size(); ++p)
      for (const StreamState& stream : states_[p].streams)
        if (stream.next >= 0) return deadlock();
    return std::move(timeline_);
  }

 private:
  static std::size_t dependence_end(const Program& program, std::size_t task) {
    return task + 1 < program.tasks.size() ? static_cast<std::size_t>(program.tasks[task + 1].dependences)
                                           : program.dependences.size();
  }

  void prepare(std::size_t p) {
    const Program& program = graph_.programs[p];
    ProgramState& state = states_[p];
    timeline_.tasks[p].resize(program.tasks.size());
    for (std::size_t i = program.tasks.size(); i-- > 0;) {
      const Task& task = program.tasks[i];
      TaskId& next = state.streams[static_cast<std::size_t>(task.stream)].next;
      following_[state.first + i] = next;
      next = static_cast<TaskId>(i);
      unmet_[state.first + i] = static_cast<std::int32_t>(dependence_end(program, i)) - task.dependences;
    }
  }

  std::size_t node(const TaskReference& task) const {
    return states_[static_cast<std::size_t>(task.program)].first + static_cast<std::size_t>(task.task);
  }

  // The dependents of each task in the order of programs and tasks. First its entry says where they end, then the
  // entries are filled from the last dependent to the first, and it says where they begin.
  void link_dependents() {
    for (const Program& program : graph_.programs)
      for (const TaskReference& on : program.dependences) ++dependents_first_[node(on)];
    for (std::size_t i = 1; i < dependents_first_.size(); ++i) dependents_first_[i] += dependents_first_[i - 1];
    dependents_.resize(static_cast<std::size_t>(dependents_first_.back()));
    for (std::size_t p = graph_.programs.size(); p-- > 0;) {
      const Program& program = graph_.programs[p];
      for (std::size_t i = program.tasks.size(); i-- > 0;)
        for (std::size_t d = dependence_end(program, i); d-- > static_cast<std::size_t>(program.tasks[i].dependences);)
          dependents_[static_cast<std::size_t>(--dependents_first_[node(program.dependences[d])])] = {
              static_cast<std::int32_t>(p), static_cast<TaskId>(i)};
    }
  }

  const WorkTime& time_of(const Task& task) const { return time_of_work(times_, options_, task.work, now_); }

  void push(Time time, std::size_t p, Stream stream, bool starts, std::int32_t generation) {
    events_.push({time, sequence_++, static_cast<std::int32_t>(p), stream, starts, generation});
  }

  // Starts the stream's next task, or schedules its start for when the host has issued it.
  void try_start(std::size_t p, Stream which) {
    ProgramState& state = states_[p];
    StreamState& stream = state.streams[static_cast<std::size_t>(which)];
    if (stream.running || stream.start_scheduled || stream.next < 0) return;
    const auto id = static_cast<std::size_t>(stream.next);
    if (unmet_[state.first + id] > 0) return;
    const Task& task = graph_.programs[p].tasks[id];
    if (which == Stream::compute) {
      const Time issue = task.syncs_host ? std::max(state.host_clock, now_) : state.host_clock;
      state.host_clock = issue + time_of(task).host;
      stream.host_end = state.host_clock;
      if (issue > now_) {
        stream.start_scheduled = true;
        push(issue, p, which, true, 0);
        return;
      }
    }
    start(p, which);
  }

  void start(std::size_t p, Stream which) {
    StreamState& stream = states_[p].streams[static_cast<std::size_t>(which)];
    const auto id = static_cast<std::size_t>(stream.next);
    const Task& task = graph_.programs[p].tasks[id];
    stream.running = true;
    stream.start_scheduled = false;
    stream.updated = now_;
    stream.remaining = static_cast<double>(time_of(task).device.picoseconds());
    timeline_.tasks[p][id].start = now_;
    if (which == Stream::data)
      change_speed(
          p, [](StreamState&) {}, true);
    const TaskReference task_on_links{static_cast<std::int32_t>(p), static_cast<TaskId>(id)};
    stream.on_links = traffic_ && options_.traffic->carries(task_on_links);
    timeline_.tasks[p][id].on_links = stream.on_links;
    if (stream.on_links)
      SIM_CHECK(traffic_->begin(task_on_links, now_), "traffic without a flow");
    else if (which == Stream::compute && options_.traffic != nullptr && options_.traffic->inside(task_on_links))
      start_turns(p, options_.traffic->inside(task_on_links));
    else
      schedule_end(p, which);
  }

  void start_turns(std::size_t p, const LayerFlows* layers) {
    StreamState& stream = states_[p].streams[static_cast<std::size_t>(Stream::compute)];
    stream.layers = layers;
    stream.turn = 0;
    stream.sending = false;
    compute(p, layers->turns.front().before);
  }

  // So much of the running compute task.
  void compute(std::size_t p, double share) {
    StreamState& stream = states_[p].streams[static_cast<std::size_t>(Stream::compute)];
    const Task& task = graph_.programs[p].tasks[static_cast<std::size_t>(stream.next)];
    stream.parts = 1;
    stream.updated = now_;
    stream.remaining = share * static_cast<double>(time_of(task).device.picoseconds());
    schedule_end(p, Stream::compute);
  }

  // What comes after compute or flows of a turn: false where nothing does.
  bool goes_on(std::size_t p) {
    StreamState& stream = states_[p].streams[static_cast<std::size_t>(Stream::compute)];
    if (stream.layers == nullptr) return false;
    if (--stream.parts > 0) return true;
    const TaskReference task{static_cast<std::int32_t>(p), stream.next};
    const std::vector<LayerTurn>& turns = stream.layers->turns;
    if (!stream.sending) {
      stream.sending = true;
      compute(p, turns[stream.turn].beside);
      if (traffic_->begin_step(task, turns[stream.turn].step, now_)) ++stream.parts;
      return true;
    }
    TaskTime& time = timeline_.tasks[p][static_cast<std::size_t>(task.task)];
    time.sending += now_ - stream.computed;
    stream.sending = false;
    const bool last = ++stream.turn == turns.size();
    if (last) stream.layers = nullptr;  // what is left to wait for is the host
    compute(p, last ? 0 : turns[stream.turn].before);
    return true;
  }

  Time traffic_event() const { return traffic_ ? traffic_->next_event_time() : Time::max(); }

  void advance_traffic(Time until) {
    now_ = until;
    for (const TaskThrough& through : traffic_->advance(until)) {
      const auto p = static_cast<std::size_t>(through.task.program);
      const Stream which = graph_.task(through.task).stream;
      StreamState& stream = states_[p].streams[static_cast<std::size_t>(which)];
      if (options_.traffic->inside(through.task) != nullptr) {
        goes_on(p);
        continue;
      }
      push(which == Stream::compute ? std::max(through.end, stream.host_end) : through.end, p, which, false,
           ++stream.generation);
    }
  }

  bool slowed(std::size_t p) const {
    return options_.slowdown(p) > 1 && states_[p].streams[static_cast<std::size_t>(Stream::data)].running;
  }

  void schedule_end(std::size_t p, Stream which) {
    StreamState& stream = states_[p].streams[static_cast<std::size_t>(which)];
    const double stretch = which == Stream::compute && slowed(p) ? options_.slowdown(p) : 1;
    Time end = now_ + Time::from_picoseconds(std::llround(stream.remaining * stretch));
    if (which == Stream::compute && stream.layers == nullptr) end = std::max(end, stream.host_end);
    stream.end = end;
    push(end, p, which, false, ++stream.generation);
  }

  // The data stream has just started or is about to stop: brings the running compute task up to date and reschedules
  // it, unless it ends now anyway, whichever of the two events comes first.
  template <class Change>
  void change_speed(std::size_t p, Change change, bool was_idle) {
    ProgramState& state = states_[p];
    StreamState& compute = state.streams[static_cast<std::size_t>(Stream::compute)];
    const double stretch = was_idle ? 1 : options_.slowdown(p);
    const bool affected = compute.running && !compute.on_links && compute.end > now_;
    if (affected) {
      const double passed = static_cast<double>((now_ - compute.updated).picoseconds());
      compute.remaining = std::max(0.0, compute.remaining - passed / stretch);
      compute.updated = now_;
    }
    change(state.streams[static_cast<std::size_t>(Stream::data)]);
    if (affected && options_.slowdown(p) > 1) schedule_end(p, Stream::compute);
  }

  void handle(const Event& event) {
    const auto p = static_cast<std::size_t>(event.program);
    StreamState& stream = states_[p].streams[static_cast<std::size_t>(event.stream)];
    if (event.starts) return start(p, event.stream);
    if (!stream.running || event.generation != stream.generation) return;
    if (event.stream == Stream::compute) {
      stream.computed = now_;
      if (goes_on(p)) return;
    }
    const TaskId id = stream.next;
    if (event.stream == Stream::data)
      change_speed(
          p, [](StreamState& data) { data.running = false; }, false);
    stream.running = false;
    stream.next = following_[states_[p].first + static_cast<std::size_t>(id)];
    timeline_.tasks[p][static_cast<std::size_t>(id)].end = now_;
    timeline_.end = std::max(timeline_.end, now_);
    release_dependents(p, id);
    try_start(p, event.stream);
  }

  void release_dependents(std::size_t p, TaskId id) {
    const std::size_t self = states_[p].first + static_cast<std::size_t>(id);
    const auto last = static_cast<std::size_t>(dependents_first_[self + 1]);
    for (auto d = static_cast<std::size_t>(dependents_first_[self]); d < last; ++d) {
      const TaskReference waiting = dependents_[d];
      const auto q = static_cast<std::size_t>(waiting.program);
      if (--unmet_[node(waiting)] > 0) continue;
      timeline_.tasks[q][static_cast<std::size_t>(waiting.task)].blocker = {static_cast<std::int32_t>(p), id};
      try_start(q, graph_.task(waiting).stream);
    }
  }

  Deadlock deadlock() const {
    auto cycle = find_cycle(graph_);
    SIM_CHECK(cycle.has_value(), "the replay stopped short, but no tasks wait for each other");
    return {std::move(*cycle)};
  }

  const TaskGraph& graph_;
  const std::vector<WorkTime>& times_;
  ReplayOptions options_;
  std::vector<ProgramState> states_;
  // By task, those of all programs in a row.
  std::vector<std::int32_t> unmet_;             // dependences that have not ended
  std::vector<TaskId> following_;               // the next task of its stream; -1: none
  std::vector<std::int32_t> dependents_first_;  // its entries in dependents_; one more than tasks
  std::vector<TaskReference> dependents_;
  std::priority_queue<Event, std::vector<Event>, LaterFirst> events_;
  std::int64_t sequence_ = 0;
  std::optional<TrafficRun> traffic_;
  Time now_;
  Timeline timeline_;
};

}  // namespace

std::variant<Timeline, Deadlock> replay(const TaskGraph& graph, const std::vector<WorkTime>& times,
                                        const ReplayOptions& options) {
  return Replay(graph, times, options).run();
}

}  // namespace echelon
