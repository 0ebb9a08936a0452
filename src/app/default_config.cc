#include "app/default_config.h"

#include <filesystem>
#include <fstream>

#include "json/value.h"
#include "obs/log.h"
#include "store/state.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

// A folder that holds a model itself or in a numbered version.
bool holds_model(const fs::path& folder) {
  std::error_code ec;
  if (fs::exists(folder / "model.onnx", ec)) return true;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    std::string name = entry.path().filename().string();
    bool number = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number && fs::exists(entry.path() / "model.onnx", ec)) return true;
  }
  return false;
}

// JSON's strings are YAML's double-quoted ones: any name of a folder can stand in the file.
std::string quoted(const std::string& text) {
  std::string out;
  json::append_quoted(out, text);
  return out;
}

}  // namespace

Result<std::string> write_default_config(const std::string& data_dir) {
  std::string path = data_dir + "/found.yaml";
  if (auto made = store::make_data_dir(data_dir); !made)
    return fail(made.error().code, fmt::format("cannot write '{}': {}", path, made.error().detail));
  std::string text =
      "# What this gateway found around it. Copy it, change it, and run it with --config.\n"
      "listen: 127.0.0.1:8080\nadmin: 127.0.0.1:8081\n"
      "data_dir: " +
      quoted(data_dir) +
      "\nguide: true\n"
      "providers:\n  found: { type: ${PENSTOCK_FOUND_LLM_TYPE}, base_url: ${PENSTOCK_FOUND_LLM_URL}, "
      "api_key: ${PENSTOCK_FOUND_LLM_KEY} }\n"
      "models:\n  chat: { route: [ { to: \"found/${PENSTOCK_FOUND_LLM_MODEL}\" } ] }\n";
  std::vector<std::string> models;
  std::error_code ignored;  // no such folder: no models
  for (const auto& entry : fs::directory_iterator("models", ignored)) {
    // The name of the route above is taken.
    if (!entry.is_directory() || entry.path().filename() == "chat" || !holds_model(entry.path())) continue;
    models.push_back(entry.path().filename().string());
  }
  std::sort(models.begin(), models.end());
  for (const std::string& name : models)
    text += fmt::format("  {}: {{ path: {} }}\n", quoted(name), quoted("models/" + name));
  text += "sources:\n  host: { host: {}, every: 1s }\n";
  std::ofstream out(path, std::ios::trunc);
  if (!(out << text) || !out.flush())
    return fail(Errc::permission_denied,
                fmt::format("cannot write '{}'; is the folder writable and the disk not full?", path));
  obs::log(obs::Level::info, "no configuration file was given: looked around",
           {{"wrote", path}, {"local_models", std::to_string(models.size())}});
  return path;
}

}  // namespace penstock::app
