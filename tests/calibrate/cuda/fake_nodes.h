// Collectives between processes, which stand for nodes: they wait for each other in a file that ECHELON_FAKE_NODES
// names the folder of, for ever if one does not come, as NCCL's do.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace echelon::fake {

class Nodes {
 public:
  enum class Work { none, first, sum };  // outputs are left, the first rank's input, or the sum in bf16
  struct Shared;

  // Joins `here` of `ranks`, when all have; none without the folder.
  static std::unique_ptr<Nodes> joined(const std::string& id, int here, int ranks);
  ~Nodes();
  // Collective number `number`, from 0, of rank `rank`; data beyond a few hundred bytes are not moved.
  void meet(int rank, long number, const void* in, std::size_t in_bytes, void* out, std::size_t out_bytes, Work work);

 private:
  Nodes(Shared* shared, int ranks) : shared_(shared), ranks_(ranks) {}
  Shared* shared_;
  int ranks_;
};

}  // namespace echelon::fake
