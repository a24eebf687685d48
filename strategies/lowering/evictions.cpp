#include "strategies/lowering/evictions.h"

#include "strategies/lowering/tasks.h"
#include "strategies/mesh.h"

namespace echelon {

namespace {

constexpr std::int32_t left_open = -3;  // and below: program of a dependence on the return of loan `task` of a lender

constexpr std::int32_t open_for(std::size_t lender) {
  return left_open - static_cast<std::int32_t>(lender);
}

}  // namespace

Evictions::Evictions(const LoweringInput& input, const StageShare& share, Lowering& into) : into_(into) {
  const auto& evictions = share.schedule().evictions;
  const auto micro_batches = static_cast<std::size_t>(into.micro_batches);
  for (std::size_t rank = 0; rank < evictions.size(); ++rank) {
    Lender& lender = lenders_.emplace_back();
    if (evictions[rank].empty()) continue;
    lender.loan_of.assign(micro_batches, -1);
    lender.called_by.assign(micro_batches, -1);
    for (const Eviction& eviction : evictions[rank]) {
      const auto loan = static_cast<std::int32_t>(lender.loans.size());
      lender.loan_of[static_cast<std::size_t>(eviction.micro_batch)] = loan;
      lender.called_by[static_cast<std::size_t>(eviction.returns_after)] = loan;
      lender.loans.push_back({eviction.micro_batch});
    }
    for (const StageUnit& unit : share.units(share.stage_of(rank, 0))) lender.kept += share.memory(unit).kept;
    const bool same_node = pipeline_ranks_share_node(input.strategy.mesh, static_cast<std::int64_t>(rank),
                                                     static_cast<std::int64_t>(evictions.size() - 1 - rank),
                                                     input.placement.gpus_per_node);
    lender.message = add_work(into, rank, TransferWork{lender.kept, same_node}, evictions.size() - 1 - rank);
    if (arrival_ < 0) arrival_ = add_work(into, rank, ComputeWork{});
  }
}

void Evictions::append(std::size_t rank, const Action& action, TaskKind kind, WorkId work, Bytes at_start,
                       Bytes at_end) {
  Program& program = into_.graph.programs[rank];
  program.append(task_of(action, kind, Stream::stages, work));
  program.effect({MemoryCategory::activations, Bytes(0), at_start, at_end});
}

void Evictions::await(std::size_t rank, const Action& action) {
  if (lenders_.empty() || lenders_[rank].loans.empty()) return;
  const Lender& lender = lenders_[rank];
  const bool forward = action.pass == Pass::forward;
  if (forward && action.micro_batch == 0) return;
  const std::int32_t loan = lender.loan_of[static_cast<std::size_t>(action.micro_batch - (forward ? 1 : 0))];
  if (loan < 0) return;
  into_.graph.programs[rank].depend(forward ? reference(rank, lender.loans[static_cast<std::size_t>(loan)].left)
                                            : TaskReference{open_for(rank), loan});
}

void Evictions::follow(std::size_t rank, const Action& action) {
  if (lenders_.empty() || lenders_[rank].loans.empty()) return;
  Lender& lender = lenders_[rank];
  Program& program = into_.graph.programs[rank];
  const TaskId pass = last_compute(program, last_task(program));
  const bool leaves = action.pass == Pass::forward;
  const std::int32_t loan = (leaves ? lender.loan_of : lender.called_by)[static_cast<std::size_t>(action.micro_batch)];
  if (loan < 0) return;
  Loan& lent = lender.loans[static_cast<std::size_t>(loan)];
  if (leaves) {
    lent.left_after = pass;
    lent.left = last_task(program) + 1;
    append(rank, action, TaskKind::evict_activations, lender.message, Bytes(0), -lender.kept);
  } else {
    lent.called_after = pass;
    append(rank, action, TaskKind::return_activations, arrival_, lender.kept, Bytes(0));
  }
  program.depend(reference(rank, pass));
}

void Evictions::borrow(std::size_t rank) {
  if (lenders_.empty()) return;
  const std::size_t from = partner(rank);
  Lender& lender = lenders_[from];
  Program& program = into_.graph.programs[rank];
  // In the lender's order of passes, so that its messages and the borrower's never wait for each other.
  std::map<TaskId, std::pair<Loan*, bool>> in_order;
  for (Loan& loan : lender.loans) {
    in_order[loan.left_after] = {&loan, true};
    in_order[loan.called_after] = {&loan, false};
  }
  for (const auto& [after, what] : in_order) {
    const auto [loan, arrives] = what;
    const Action action{arrives ? Pass::forward : Pass::backward, 0, loan->micro_batch};
    if (arrives) {
      append(rank, action, TaskKind::evict_activations, arrival_, lender.kept, Bytes(0));
    } else {
      loan->returned = last_task(program) + 1;
      append(rank, action, TaskKind::return_activations, lender.message, Bytes(0), -lender.kept);
    }
    program.depend(reference(from, after));
  }
}

void Evictions::resolve() {
  if (lenders_.empty()) return;
  for (Program& program : into_.graph.programs)
    for (TaskReference& on : program.dependences) {
      if (on.program > left_open) continue;
      const auto lender = static_cast<std::size_t>(left_open - on.program);
      on = reference(partner(lender), lenders_[lender].loans[static_cast<std::size_t>(on.task)].returned);
    }
}

}  // namespace echelon
