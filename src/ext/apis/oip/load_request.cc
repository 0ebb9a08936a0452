#include "ext/apis/oip/load_request.h"

#include "chat/base64.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

constexpr std::string_view kFilePrefix = "file:";

bool is_version(std::string_view text) {
  return !text.empty() && text.size() < 19 && text.front() != '0' &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "1/model.onnx": nothing that leads out of the version's own directory.
bool is_inside(std::string_view path) {
  std::size_t slash = path.find('/');
  if (slash == std::string_view::npos || !is_version(path.substr(0, slash))) return false;
  std::string_view name = path.substr(slash + 1);
  bool plain = std::ranges::all_of(name, [](char c) { return c > ' ' && c != '/' && c != '\\' && c != '\x7F'; });
  return plain && !name.empty() && name.size() <= 255 && name != "." && name != "..";
}

Result<void> take_file(infer::LoadRequest& request, std::string_view path, const json::Value& value) {
  if (!is_inside(path)) {
    return fail(Errc::invalid_argument,
                fmt::format("parameter 'file:{}': the path must be VERSION/NAME, such as file:1/model.onnx",
                            path.substr(0, 100)));
  }
  auto bytes = value.is_string() ? chat::read_base64(value.get_string()) : std::nullopt;
  if (!bytes)
    return fail(Errc::invalid_argument, fmt::format("parameter 'file:{}' must be the file's bytes in base64", path));
  request.files[std::string(path)] = std::move(*bytes);
  return {};
}

Result<void> take_parameters(infer::LoadRequest& request, const json::Object& parameters) {
  for (const auto& [key, value] : parameters) {
    std::string_view name(key);
    if (name == "config") {
      if (!value.is_string())
        return fail(Errc::invalid_argument, "parameter 'config' must be a string: the configuration as JSON text");
      request.config = std::string_view(value.get_string());
    } else if (name.starts_with(kFilePrefix)) {
      auto taken = take_file(request, name.substr(kFilePrefix.size()), value);
      if (!taken) return taken;
    }
  }
  if (!request.files.empty() && request.config.empty())
    return fail(Errc::invalid_argument, "parameter 'config' is missing: files are taken together with a configuration");
  return {};
}

}  // namespace

Result<infer::LoadRequest> parse_load(std::string_view body) {
  infer::LoadRequest request;
  if (body.empty()) return request;
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(parsed.error());
  if (!parsed->is_object()) return fail(Errc::invalid_argument, "the body must be an object with 'parameters'");
  const json::Value* parameters = json::find(*parsed, "parameters");
  if (parameters == nullptr || parameters->is_null()) return request;
  if (!parameters->is_object()) return fail(Errc::invalid_argument, "'parameters' must be an object");
  if (auto taken = take_parameters(request, parameters->get_object()); !taken) return std::unexpected(taken.error());
  return request;
}

}  // namespace penstock::ext
