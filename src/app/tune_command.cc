// penstock model tune FILE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "app/command_groups.h"
#include "app/model_tune.h"
#include "app/text_table.h"
#include "base/quantity.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

struct TuneCommand {
  TuneOptions options;
  std::vector<std::string> shapes;
  bool write = false;
};

// "tokens=1x128"
Result<void> add_shape(TuneOptions& options, const std::string& text) {
  std::size_t equals = text.find('=');
  std::vector<std::int64_t> shape;
  std::string_view rest = equals == std::string::npos ? std::string_view() : std::string_view(text).substr(equals + 1);
  while (!rest.empty()) {
    std::int64_t extent = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), extent);
    if (error != std::errc{} || extent < 1 || extent > (std::int64_t{1} << 30)) break;
    shape.push_back(extent);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (rest.starts_with('x') && rest.size() > 1) {
      rest.remove_prefix(1);
    } else {
      break;
    }
  }
  if (shape.empty() || !rest.empty())
    return fail(Errc::invalid_argument, fmt::format("--shape {}: write it as NAME=1x128", text));
  options.shapes[text.substr(0, equals)] = std::move(shape);
  return {};
}

const infer::RuntimeFactory* runtime_for(const base::Registry& registry, const fs::path& file) {
  for (const std::string& name : registry.names<infer::RuntimeFactory>()) {
    const auto* factory = registry.find<infer::RuntimeFactory>(name);
    if (fs::path(factory->file_name).extension() == file.extension()) return factory;
  }
  return nullptr;
}

std::string milliseconds(base::Duration time) {
  return fmt::format("{:.3f}", std::chrono::duration<double, std::milli>(time).count());
}

void print(const Tuning& tuning) {
  TextTable table(
      {"ACCELERATOR", ">THREADS", "OPTIMIZE", ">ROWS", ">P50 MS", ">P99 MS", ">ROWS/S", ">MEMORY", "PROBLEM"});
  constexpr std::array<const char*, 4> kNames{"none", "basic", "extended", "all"};
  for (const Trial& trial : tuning.trials) {
    const infer::RuntimeOptions& options = trial.options;
    bool good = trial.problem.empty();
    table.add({options.accelerators.empty() ? "cpu" : options.accelerators.front(), std::to_string(options.threads),
               kNames[static_cast<std::size_t>(options.optimize)], std::to_string(trial.rows),
               good ? milliseconds(trial.p50) : "", good ? milliseconds(trial.p99) : "",
               good ? fmt::format("{:.0f}", trial.rows_per_second) : "", good ? base::format_size(trial.memory) : "",
               trial.problem});
  }
  std::printf("%s\nBest here, for model.yaml or the model's entry under models:\n\n%s", table.text().c_str(),
              to_yaml(tuning).c_str());
}

// Beside the version directories, or beside the file where there are none.
fs::path settings_file(const fs::path& model) {
  fs::path folder = fs::absolute(model).parent_path();
  std::string name = folder.filename().string();
  bool version =
      !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); });
  return (version ? folder.parent_path() : folder) / "model.yaml";
}

// All of it or nothing: whoever reads meanwhile sees the old file, a crash leaves it.
Result<void> replace_file(const fs::path& path, const std::string& text) {
  std::string fresh = path.string() + ".XXXXXX";
  int fd = ::mkostemp(fresh.data(), O_CLOEXEC);
  bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                 ::fchmod(fd, 0644) == 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (written && ::rename(fresh.c_str(), path.c_str()) == 0) return {};
  int error = errno;
  if (fd >= 0) ::unlink(fresh.c_str());
  return fail(Errc::permission_denied, fmt::format("{}: cannot be written: {}", path.string(), std::strerror(error)));
}

Result<void> write_settings(const fs::path& model, const Tuning& tuning) {
  std::error_code ignored;
  fs::path path = settings_file(model);
  fs::path target = fs::weakly_canonical(path, ignored);  // a link stays one
  if (target.empty()) target = path;
  std::ifstream in(target, std::ios::binary);
  std::string existing{std::istreambuf_iterator<char>(in), {}};
  auto merged = merge_yaml(existing, tuning);
  if (!merged) {
    merged.error().detail = fmt::format("{}: {}", path.string(), merged.error().detail);
    return std::unexpected(std::move(merged.error()));
  }
  if (auto replaced = replace_file(target, *merged); !replaced) return replaced;
  std::printf("\nWritten to %s\n", path.c_str());
  return {};
}

Result<void> run(TuneCommand& command, const base::Registry& registry) {
  for (const std::string& shape : command.shapes) {
    if (auto added = add_shape(command.options, shape); !added) return added;
  }
  const infer::RuntimeFactory* factory = runtime_for(registry, command.options.file);
  if (factory == nullptr)
    return fail(Errc::unimplemented, fmt::format("{}: no runtime takes a file of this kind", command.options.file));
  auto tuning = tune(*factory, command.options);
  if (!tuning) return std::unexpected(std::move(tuning.error()));
  print(*tuning);
  return command.write ? write_settings(command.options.file, *tuning) : Result<void>();
}

}  // namespace

void add_tune(CLI::App& model_group, const base::Registry& registry, Command& chosen) {
  auto command = std::make_shared<TuneCommand>();
  CLI::App* tune = model_group.add_subcommand("tune", "measure how a model runs best on this machine");
  tune->add_option("FILE", command->options.file, "model.onnx")->required();
  tune->add_option("--seconds", command->options.seconds, "about how long to measure")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  tune->add_option("--shape", command->shapes, "of an input with open dimensions: NAME=1x128");
  tune->add_flag("--write", command->write, "put the best into model.yaml beside the versions");
  tune->callback([command, &registry, &chosen] {
    chosen = [command, &registry] {
      auto done = run(*command, registry);
      if (!done) std::fprintf(stderr, "%s\n", done.error().detail.c_str());
      return done ? 0 : 1;
    };
  });
}

}  // namespace penstock::app
