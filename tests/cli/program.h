// Runs the built program as its user does, and the files that such tests make.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace echelon {

struct ProgramRun {
  int exit_code = -1;  // 128 + signal where one ended it
  std::string output;  // stdout, then stderr
  double seconds = 0;
  double megabytes = 0;  // largest resident set
};

// The program with these arguments, in `folder` and with ECHELON_DATA as given (empty: unset).
ProgramRun run_program(const std::vector<std::string>& arguments, const std::filesystem::path& folder = "/",
                       const std::string& data = "");

// Starts the program and kills it (SIGKILL) once `due` says so, unless it has ended by then: whether it was killed.
bool kill_program_when(const std::function<bool()>& due, const std::vector<std::string>& arguments);

// A started command, so that a test can do things to it meanwhile; killed with the object unless it has ended. Its
// output is lost.
class StartedCommand {
 public:
  explicit StartedCommand(std::vector<std::string> command);
  ~StartedCommand();
  StartedCommand(const StartedCommand&) = delete;
  StartedCommand& operator=(const StartedCommand&) = delete;

  int process() const { return process_; }
  bool has_ended();
  // The exit code, as in ProgramRun.
  int wait();

 private:
  int process_ = -1;
  int status_ = -1;
  bool ended_ = false;
};

// A folder of its own, gone with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path path() const { return path_; }
  // Writes a file and gives its path.
  std::string file(std::string_view name, std::string_view text) const;

 private:
  std::filesystem::path path_;
};

}  // namespace echelon
