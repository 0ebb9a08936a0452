#include "infer/folder_config.h"

#include <filesystem>
#include <fstream>

#include "infer/triton_config.h"
#include "json/value.h"

namespace penstock::infer {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFileBytesMax = 1 << 20;

// Nothing when there is no such file.
Result<std::optional<std::string>> read_small(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    if (error == std::errc::permission_denied)
      return fail(Errc::permission_denied, fmt::format("{}: {}", path.string(), error.message()));
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad() || (!file.eof() && file.fail()))
    return fail(Errc::permission_denied, fmt::format("{}: cannot be read", path.string()));
  if (text.size() > kFileBytesMax)
    return fail(Errc::invalid_argument, fmt::format("{}: larger than 1 MiB", path.string()));
  return text;
}

// A model comes from elsewhere than the gateway's own file: it names no secrets, files or variables of this machine.
Result<ModelConfig> parse_keys(std::string_view text, const std::string& name, const std::string& file) {
  if (std::size_t at = text.find("${"); at != std::string_view::npos) {
    auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    auto column = at - (text.rfind('\n', at) + 1) + 1;
    return fail(Errc::invalid_argument,
                fmt::format("{}:{}:{}: ${{...}} can be used in the gateway's own file only", file, line, column));
  }
  auto document = config::Document::parse(text, file);
  if (!document) return fail(Errc::invalid_argument, document.error().detail);
  config::Map map = document->root().map();
  ModelConfig model = parse_model_file(map, name);
  map.done();
  if (document->failed()) return fail(Errc::invalid_argument, document->report());
  return model;
}

}  // namespace

Result<ModelConfig> with_folder(ModelConfig declared) {
  fs::path folder(declared.path);
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return declared;
  using Parse = Result<ModelConfig> (*)(std::string_view, const std::string&, const std::string&);
  const std::pair<std::string_view, Parse> kinds[] = {{"model.yaml", parse_keys}, {"config.pbtxt", parse_triton_text}};
  for (const auto& [file, parse] : kinds) {
    fs::path path = folder / file;
    auto text = read_small(path);
    if (!text) return std::unexpected(std::move(text.error()));
    if (!*text) continue;
    auto model = parse(**text, declared.name, path.string());
    if (!model) return model;
    merge_model(declared, *model);
    return declared;
  }
  return declared;
}

Result<ModelConfig> with_request(ModelConfig declared, const std::string& text) {
  auto json = json::parse(text);
  if (!json || !json->is_object()) {
    return fail(Errc::invalid_argument,
                fmt::format("config: {}", json ? "expected a JSON object" : json.error().detail));
  }
  const json::Object& object = json->get_object();
  bool triton = std::any_of(object.begin(), object.end(),
                            [](const auto& member) { return is_triton_field(std::string(member.key())); });
  auto model = triton ? parse_triton_json(text, declared.name, "config") : parse_keys(text, declared.name, "config");
  if (!model) return model;
  bool isolate = declared.runtime.isolate;
  std::uint64_t most = declared.runtime.memory_max;
  merge_model(declared, *model, true);
  declared.runtime.isolate = declared.runtime.isolate || isolate;
  if (most > 0 && (declared.runtime.memory_max == 0 || declared.runtime.memory_max > most))
    declared.runtime.memory_max = most;
  return declared;
}

}  // namespace penstock::infer
