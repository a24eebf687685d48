#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "sim/cli/command.h"
#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"

namespace echelon {

namespace {

struct ProfilesOptions {
  std::string name;
  bool json = false;
};

nlohmann::ordered_json to_json(const Profile& profile) {
  return {{"name", profile.name},
          {"title", profile.title},
          {"device", profile.device.name},
          {"memory_bytes", profile.device.memory.value()},
          {"peak_bf16_flops", profile.device.peak_of(DataType::bf16).value()},
          {"gpus_per_node", profile.network.gpus_per_node},
          {"sources", profile.sources}};
}

int run_profiles(const ProfilesOptions& options) {
  if (!options.name.empty()) {
    const Profile profile = load_profile(data_file(DataKind::profile, options.name, {"profiles"}));
    fmt::print("{}\n", options.json ? to_json(profile).dump(2) : save_profile(profile));
    return 0;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& name : data_names(DataKind::profile)) {
    const Profile profile = load_profile(data_file(DataKind::profile, name, {"profiles"}));
    if (options.json)
      all.push_back(to_json(profile));
    else
      fmt::print("{:<22} {}\n", name, profile.title);
  }
  if (options.json) fmt::print("{}\n", all.dump(2));
  return 0;
}

}  // namespace

void add_profiles_command(CLI::App& app, CommandBody& body) {
  auto options = std::make_shared<ProfilesOptions>();
  CLI::App* command = app.add_subcommand("profiles", "List the hardware profiles that ship, or show one");
  command->add_option("name", options->name, "A profile's name");
  command->add_flag("--json", options->json, "Print as JSON");
  command->footer("Example: echelon profiles dgx-h100");
  command->callback([options, &body] { body = [options] { return run_profiles(*options); }; });
}

}  // namespace echelon
