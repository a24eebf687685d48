#include "tests/cli/program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace echelon {

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

[[noreturn]] void become_program(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                                 const std::string& data, const std::filesystem::path& out,
                                 const std::filesystem::path& err) {
  std::vector<char*> argv;
  std::string program = ECHELON_PROGRAM;
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  constexpr int mode = 0600;
  const int to_out = open(out.c_str(), O_CREAT | O_WRONLY | O_TRUNC, mode);
  const int to_err = open(err.c_str(), O_CREAT | O_WRONLY | O_TRUNC, mode);
  dup2(to_out, STDOUT_FILENO);
  dup2(to_err, STDERR_FILENO);
  if (data.empty())
    unsetenv("ECHELON_DATA");
  else
    setenv("ECHELON_DATA", data.c_str(), 1);
  if (chdir(folder.c_str()) == 0) execv(program.c_str(), argv.data());
  _exit(127);
}

}  // namespace

ProgramRun run_program(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                       const std::string& data) {
  const ScratchFolder scratch;
  const auto out = scratch.path() / "out";
  const auto err = scratch.path() / "err";
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become_program(arguments, folder, data, out, err);
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, text_of(out) + text_of(err), elapsed.count(), static_cast<double>(usage.ru_maxrss) / 1024};
}

bool kill_program_when(const std::function<bool()>& due, const std::vector<std::string>& arguments) {
  const ScratchFolder scratch;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become_program(arguments, "/", "", scratch.path() / "out", scratch.path() / "err");
  int status = 0;
  while (!due()) {
    if (waitpid(child, &status, WNOHANG) == child) return WIFSIGNALED(status);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

StartedCommand::StartedCommand(std::vector<std::string> command) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("fork failed");
  if (process_ > 0) return;
  const int nowhere = open("/dev/null", O_RDWR);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, stream);
  execvp(argv[0], argv.data());
  _exit(127);
}

StartedCommand::~StartedCommand() {
  if (has_ended()) return;
  kill(process_, SIGKILL);
  wait();
}

bool StartedCommand::has_ended() {
  ended_ = ended_ || waitpid(process_, &status_, WNOHANG) == process_;
  return ended_;
}

int StartedCommand::wait() {
  if (!ended_) waitpid(process_, &status_, 0);
  ended_ = true;
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "echelon-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no scratch folder");
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ScratchFolder::file(std::string_view name, std::string_view text) const {
  const auto at = path_ / name;
  std::ofstream(at, std::ios::binary) << text;
  return at.string();
}

}  // namespace echelon
