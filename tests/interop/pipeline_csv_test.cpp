#include "sim/interop/pipeline_csv.h"

#include <fstream>
#include <random>
#include <sstream>

#include "strategies/pipeline/timing.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

const std::string folder = std::string(ECHELON_SOURCE_DIR) + "/tests/data/pipeline/";

Schedule schedule_of(const std::string& name) {
  return read_pipeline_csv(folder + name + ".csv");
}

// The file without its first line, which says where it comes from, and without idle slots.
std::string text_of(const std::string& name) {
  std::ifstream file(folder + name + ".csv");
  std::string line;
  std::getline(file, line);
  std::string text;
  while (std::getline(file, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    text += line + "\n";
  }
  return text;
}

ScheduleShape shape_of(std::int64_t ranks, std::int64_t micro_batches, std::int64_t chunks = 1) {
  ScheduleShape shape;
  shape.ranks = ranks;
  shape.micro_batches = micro_batches;
  shape.chunks = chunks;
  return shape;
}

std::string refusal(const std::string& text) {
  try {
    parse_pipeline_csv(text, "s.csv");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("schedules that others wrote are what the definitions give") {
  const auto same = [](const std::string& file, ScheduleKind kind, const ScheduleShape& shape) {
    CAPTURE(file);
    CHECK(pipeline_csv(build_schedule(kind, shape), PipelineCsvForm::compute) == text_of(file));
    CHECK(schedule_of(file).ranks == build_schedule(kind, shape).ranks);
  };
  same("gpipe_4rank_8mb", ScheduleKind::gpipe, shape_of(4, 8));
  same("1f1b_4rank_8mb", ScheduleKind::one_f_one_b, shape_of(4, 8));
  same("interleaved1f1b_4rank_2v_8mb", ScheduleKind::interleaved, shape_of(4, 8, 2));
  ScheduleShape flexible = shape_of(4, 10, 2);
  flexible.group = 5;
  same("interleaved1f1b_flex_4rank_2v_10mb", ScheduleKind::interleaved, flexible);
  same("interleavedzb_4rank_2v_8mb", ScheduleKind::interleaved_zb, shape_of(4, 8, 2));
  same("zb1p_4rank_1v_8mb", ScheduleKind::interleaved_zb, shape_of(4, 8));
  same("loopedbfs_4rank_2v_8mb", ScheduleKind::looped_bfs, shape_of(4, 8, 2));
  same("zbh1_handcrafted_4rank_8mb", ScheduleKind::zb_h1, shape_of(4, 8));
  same("zbh2_handcrafted_4rank_8mb", ScheduleKind::zb_h2, shape_of(4, 8));
  same("zbv_4rank_8mb", ScheduleKind::zb_v, shape_of(4, 8, 2));
  same("pytorch_dualpipev_4rank_10mb", ScheduleKind::dualpipe_v, shape_of(4, 10, 2));
  same("dualpipe_4rank_8mb_bidir_custom", ScheduleKind::dualpipe, shape_of(4, 8, 2));
  ScheduleShape sliced = shape_of(4, 8);
  sliced.slices = 2;
  same("seq1f1b_4rank_8mb_2seq_custom", ScheduleKind::seq1f1b, sliced);
}

TEST_CASE("files of other planners come back as they were") {
  for (const char* file :
       {"sail_1f1bv_4rank_8mb", "sail_vhalf_4rank_8mb", "sail_vmin_4rank_8mb", "sail_zb_heur_memlim2p_4rank_8mb",
        "sail_zbv_heur_4rank_8mb", "torchtitan_custom_schedule", "chimera_4rank_4mb_bidir_custom"}) {
    CAPTURE(file);
    CHECK(pipeline_csv(schedule_of(file), PipelineCsvForm::compute) == text_of(file));
  }
  // Their makespans with half a unit for each pass of a chunk, as sail-sg's own simulator prints them.
  ScheduleCosts costs;
  costs.stages = {{0.5, 0.5, 0.5}};
  CHECK(timing_of(schedule_of("sail_vhalf_4rank_8mb"), costs).makespan == Approx(26.5));
  CHECK(timing_of(schedule_of("sail_vmin_4rank_8mb"), costs).makespan == Approx(29.5));
  CHECK(timing_of(schedule_of("sail_1f1bv_4rank_8mb"), costs).makespan == Approx(31.5));
  CHECK(schedule_of("chimera_4rank_4mb_bidir_custom").layout == StageLayout::bidirectional);
  CHECK(schedule_of("sail_vmin_4rank_8mb").layout == StageLayout::wave);
}

TEST_CASE("PyTorch's older letters, with and without messages") {
  const Schedule compute = schedule_of("pytorch_zb1p_2rank_2stagep_compute_OLDGRAMMAR");
  CHECK(compute.shape.chunks == 2);
  CHECK(compute.ranks[0][4].pass == Pass::input_gradient);  // 2B0, before 2W0
  CHECK(compute.ranks[0][5].pass == Pass::weight_gradient);
  const Schedule with_messages = schedule_of("pytorch_zb1p_2rank_2stagep_comms_OLDGRAMMAR");
  CHECK(with_messages.ranks[0][4].pass == Pass::backward);  // 2BW0
}

TEST_CASE("what is written is read again, messages and all") {
  for (const auto& kind : enum_names<ScheduleKind>) {
    CAPTURE(kind.name);
    ScheduleShape shape = shape_of(4, 8, schedule_row(kind.value).least_chunks);
    if (kind.value == ScheduleKind::terapipe) shape.slices = 3;
    const Schedule schedule = build_schedule(kind.value, shape);
    for (const auto form : {PipelineCsvForm::compute, PipelineCsvForm::communication}) {
      if (shape.slices > 1 && form == PipelineCsvForm::communication)
        continue;  // the grammar has no messages of slices
      const Schedule again = parse_pipeline_csv(pipeline_csv(schedule, form), kind.name.data());
      CHECK(again.ranks == schedule.ranks);
      CHECK(again.layout == schedule.layout);
    }
  }
}

TEST_CASE("a file that cannot be is refused where it is wrong") {
  CHECK(refusal("") == "s.csv: has no line of actions; expected a line for each rank");
  CHECK(refusal("0F0,0X0") ==
        "s.csv:1:5: '0X0' is no action; expected a stage, a type (F, I, W, B, SEND_F, ...) and a micro-batch, as 0F3");
  CHECK(refusal("0F0,0F").find("s.csv:1:5: '0F' names no micro-batch") == 0);
  CHECK(refusal("0F0,0B0,0F0").find("s.csv:1:9: '0F0' comes twice") == 0);
  CHECK(refusal("0B0,0F0").find("s.csv:1:1: '0B0' comes before what it needs; expected its forward") == 0);
  CHECK(refusal("0F0,0W0").find("expected its input gradient (I) before it") != std::string::npos);
  CHECK(refusal("0F0,0F1,0B0").find("s.csv: lacks B of stage 0, micro-batch 1") == 0);
  CHECK(refusal("0F0,0B0\n0F1,0B1").find("stage 0 already on another") != std::string::npos);
  CHECK(refusal("0F0,0B0,2F0,2B0\n1F0,1B0").find("has 3 stages on 2 ranks") != std::string::npos);
  CHECK(refusal("0F0,(0B0;0F1,0B1").find("is no pair") != std::string::npos);
  CHECK(refusal("0F0,99999F999999,0B0").find("not of all") != std::string::npos);
  CHECK(refusal("0F99999999999999999999").find("out of range") != std::string::npos);
  CHECK(refusal("0F0,0SEND_F0,0B0\n1F0,1B0").find("'0SEND_F0' has no other end; expected 1RECV_F0") !=
        std::string::npos);
  CHECK(refusal("0SEND_F0,0F0,0B0\n1RECV_F0,1F0,1B0").find("sends what its stage has not made yet") !=
        std::string::npos);
}

TEST_CASE("passes of a divided vocabulary are refused where they are wrong") {
  const std::string head = "# vocabulary_parallel: vocab_1\n";
  const std::string rank0 = "0E0,0F0,0S0,0T0,0B0,0G0\n";
  const std::string rank1 = "1E0,1F0,1S0,1T0,1B0,1G0\n";
  CHECK(refusal(head + rank0 + rank1).empty());
  CHECK(refusal(rank0 + rank1)
            .find("s.csv:1:1: '0E0' is a pass of a divided vocabulary; expected a line "
                  "'# vocabulary_parallel: vocab_1'") == 0);
  CHECK(refusal("# vocabulary_parallel: vocab_3\n" + rank0 + rank1)
            .find("s.csv:1:24: 'vocab_3' is no way to divide a vocabulary; expected one of none, vocab_1") == 0);
  CHECK(refusal(head + rank0 + "0E0,1F0,1S0,1T0,1B0,1G0\n").find("s.csv:3:1: '0E0' is on the line of rank 1") == 0);
  CHECK(refusal(head + rank0 + "1E0,1F0,1S0,1T0,1T0,1B0,1G0\n").find("s.csv:3:17: '1T0' comes twice") == 0);
  CHECK(refusal(head + rank0 + "1E0,1F0,1T0,1S0,1B0,1G0\n").find("s.csv:3:9: '1T0' comes before what it needs") == 0);
  CHECK(refusal(head + rank0 + "1E0,1F0,1S0,1T0,1B0\n").find("s.csv: lacks G of rank 1, micro-batch 0") == 0);
  CHECK(refusal(head + "0F0,0B0\n1F0,1B0\n").find("s.csv: lacks S of rank 0, micro-batch 0") == 0);
  CHECK(refusal(head + rank0 + "1E0,1F0,(1S0;1T0)OVERLAP_F_B,1B0,1G0\n").find("'1S0' is one of a pair") !=
        std::string::npos);
  CHECK(refusal(head + "0E0,0F0,0S0,0B0,0G0\n" + rank1).find("s.csv: lacks T of rank 0") == 0);
  CHECK(refusal(head + "0E0,0S0\n1E0,1S0\n").find("s.csv: has no pass of a stage") == 0);
  CHECK(refusal(head + "0E0,0E1,0F0,0F1,0S0,0S1,0T0,0T1,0B0,0B1,0G0,0G1\n"
                       "1E0,1E1,1F0,1F1,1S1,1S0,1T0,1T1,1B0,1B1,1G0,1G1\n")
            .find("s.csv:3:17: '1S1' stands where rank 0 has '0S0'") == 0);
  // The last stage's backward pass stands before what all ranks' T must have made.
  const std::string circle = refusal(head + "0E0,0F0,0S0,0T0,0B0,0G0\n1E0,1F0,1S0,1B0,1T0,1G0\n");
  CHECK(circle.find("waits for itself: ") != std::string::npos);
  CHECK(circle.find("1B0 on rank 1 waits for 1T0 on rank 1") != std::string::npos);
  // With one barrier it may.
  CHECK(refusal("# vocabulary_parallel: vocab_2\n0E0,0F0,0S0,0T0,0B0,0G0\n1E0,1F0,1S0,1B0,1T0,1G0\n").empty());
}

TEST_CASE("lists that wait for each other are refused with the circle") {
  // Rank 0 wants the gradient of micro-batch 1 first, rank 1 makes that of 0 first and wants 1's forward, which rank 0
  // has put behind.
  const std::string reason = refusal("0F0,0B0,0F1,0B1\n1F0,1F1,1B1,1B0");
  CHECK(reason.find("waits for itself: 0B0 on rank 0 waits for 1B0 on rank 1 behind 1F1, which waits for 0F1 on rank 0 "
                    "behind 0B0;") != std::string::npos);
  CHECK(refusal("2F0,0F0,2B0,0B0\n1F0,3F0,3B0,1B0")
            .find("2F0 on rank 0 waits for 1F0 on rank 1, which waits for 0F0 on rank 0 behind 2F0;") !=
        std::string::npos);
}

TEST_CASE("messages that wait for each other are refused with the circle") {
  // What rank 0 receives first rank 1 makes of what rank 0 sends behind that.
  const std::string blocked = refusal("0F0,0RECV_B0,0SEND_F0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0");
  CHECK(blocked.find("waits for itself: ") != std::string::npos);
  CHECK(blocked.find("0SEND_F0 behind 0RECV_B0 on rank 0") != std::string::npos);
  CHECK(blocked.find("1F0 behind 1RECV_F0 on rank 1") != std::string::npos);
  CHECK(blocked.find("expected the messages of two ranks in one order on both") != std::string::npos);
  // Two messages that cross.
  CHECK(refusal("0F0,0F1,0SEND_F1,0SEND_F0,0RECV_B0,0B0,0RECV_B1,0B1\n"
                "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1")
            .find("waits for itself: ") != std::string::npos);
  // Rank 0 sends its third micro-batch before it takes the first gradient, which rank 1 sends before it takes that.
  CHECK(refusal("0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
                "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1")
            .find("waits for itself: ") != std::string::npos);
  CHECK(refusal("0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
                "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1") == "");
  CHECK(refusal("0F0,0SEND_F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0").find("'0SEND_F0' comes twice") !=
        std::string::npos);
}

TEST_CASE("messages of slices name their slices, and come back") {
  for (const ScheduleKind kind : {ScheduleKind::seq1f1b, ScheduleKind::terapipe}) {
    ScheduleShape shape;
    shape.ranks = 3;
    shape.micro_batches = 4;
    shape.slices = 2;
    const Schedule schedule = build_schedule(kind, shape, {});
    const std::string text = pipeline_csv(schedule, PipelineCsvForm::communication);
    CHECK(text.find("0F0.0,0SEND_F0.0,0F0.1,0SEND_F0.1") != std::string::npos);
    CHECK(parse_pipeline_csv(text, "doc").ranks == schedule.ranks);
  }
}

TEST_CASE("damaged files are refused or read, never worse") {
  std::mt19937_64 random(21);
  const std::string whole = text_of("pytorch_dualpipev_4rank_10mb");
  for (int round = 0; round < 500; ++round) {
    std::string text = whole.substr(0, random() % whole.size());
    for (std::uint64_t i = random() % 4; i-- > 0 && !text.empty();)
      text[random() % text.size()] = static_cast<char>(random() % 256);
    const std::string reason = refusal(text);
    if (!reason.empty()) CHECK(reason.find("s.csv") == 0);
  }
}
