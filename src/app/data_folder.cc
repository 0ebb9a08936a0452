#include "app/data_folder.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdio>

namespace penstock::app {

Result<std::optional<config::Document>> DataFolder::document() const {
  if (config.empty()) return std::nullopt;
  auto read = config::Document::load(config, [](const std::string&) { return "-"; });
  if (!read) return std::unexpected(read.error());
  return std::optional(std::move(*read));
}

Result<std::string> DataFolder::path() const {
  if (!data_dir.empty()) return data_dir;
  auto read = document();
  if (!read) return std::unexpected(read.error());
  return *read ? (*read)->root().map().text("data_dir", "./var") : std::string("./var");
}

Result<std::vector<std::string>> DataFolder::declared_teams() const {
  auto read = document();
  if (!read) return std::unexpected(read.error());
  if (!*read) return std::vector<std::string>();
  config::Node teams = (*read)->root().map().get("teams");
  return teams.kind() == config::Node::Kind::map ? teams.map().keys() : std::vector<std::string>();
}

Result<store::State> DataFolder::open_state() const {
  auto dir = path();
  if (!dir) return std::unexpected(dir.error());
  return store::State::open(*dir);
}

Result<std::string> DataFolder::with_file(const char* file) const {
  auto dir = path();
  if (!dir || ::access((*dir + "/" + file).c_str(), F_OK) == 0) return dir;
  return fail(Errc::failed_precondition,
              fmt::format("there is no {} in '{}': no gateway has run there; name its folder with --data-dir, or its "
                          "configuration with --config",
                          file, *dir));
}

Result<store::State> DataFolder::open_state_to_read() const {
  auto dir = with_file("penstock.db");
  if (!dir) return std::unexpected(dir.error());
  return store::State::open(*dir);
}

store::Actor command_line_actor() {
  const passwd* user = ::getpwuid(::getuid());
  return {"cli:" + (user == nullptr ? std::to_string(::getuid()) : std::string(user->pw_name)),
          base::system_clock().wall()};
}

int complain(int status, const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  return status;
}

int finish(const Result<int>& result) {
  if (result) return *result;
  const Error& error = result.error();
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::not_found:
    case Errc::already_exists:
    case Errc::out_of_range: return complain(2, error.detail);
    default: return complain(1, error.detail);
  }
}

}  // namespace penstock::app
