#include "app/admin_routes.h"

#include <charconv>
#include <map>

#include "app/admin_text.h"
#include "base/version.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;

std::string_view meaning(int status) {
  switch (status) {
    case 400: return "The request cannot be understood: no JSON, or a parameter that is unknown or malformed.";
    case 401: return "The admin key is missing or wrong.";
    case 403: return "Another site sent it, or the address is not one this is served on.";
    case 404: return "There is nothing of that name.";
    case 409: return "It does not fit what is there: the name is taken, or it stands in the configuration file.";
    case 413: return "The body is larger than 1 MiB.";
    case 415: return "The body is not said to be application/json.";
    case 422: return "A field is unknown, missing, or has a value that cannot be.";
    default: return "The state file cannot be read or written now.";
  }
}

Object content_of(Object schema, std::string_view type = "application/json") {
  return Object{{type, Object{{"schema", std::move(schema)}}}};
}

Object reference(std::string_view shape) {
  return Object{{"$ref", text(fmt::format("#/components/schemas/{}", shape))}};
}

Object parameter(std::string_view name, std::string_view in, Object schema) {
  Object o{{"name", text(name)}, {"in", text(in)}, {"required", in == "path"}};
  if (auto* about = schema.if_contains("description")) {
    o["description"] = *about;
    schema.erase("description");
  }
  o["schema"] = std::move(schema);
  return o;
}

// The names in braces.
std::vector<std::string> path_names(std::string_view path) {
  std::vector<std::string> names;
  for (std::size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{', open + 1))
    names.emplace_back(path.substr(open + 1, path.find('}', open) - open - 1));
  return names;
}

std::vector<int> refusals_of(const AdminRoute& route) {
  std::vector<int> statuses{401, 403};
  bool changes = route.method != "GET";
  if (changes || !route.query.empty()) statuses.push_back(400);
  if (changes) statuses.insert(statuses.end(), {413, 415, 422});
  if (!path_names(route.path).empty()) statuses.push_back(404);
  statuses.insert(statuses.end(), route.refusals.begin(), route.refusals.end());
  std::sort(statuses.begin(), statuses.end());
  statuses.erase(std::unique(statuses.begin(), statuses.end()), statuses.end());
  return statuses;
}

Object operation_of(const AdminRoute& route) {
  Object operation{{"operationId", text(route.name)}, {"summary", text(route.about)}};
  Array parameters;
  for (const std::string& name : path_names(route.path))
    parameters.push_back(parameter(name, "path", Object{{"type", "string"}}));
  for (const Field& field : route.query) parameters.push_back(parameter(field.name, "query", schema_of(field)));
  if (!parameters.empty()) operation["parameters"] = std::move(parameters);
  if (!route.takes.empty()) {
    bool required = std::any_of(shape(route.takes).fields.begin(), shape(route.takes).fields.end(),
                                [](const Field& field) { return field.required; });
    operation["requestBody"] = Object{{"required", required}, {"content", content_of(reference(route.takes))}};
  }
  Object responses;
  Object content = content_of(route.gives.empty() ? Object{{"type", "object"}} : reference(route.gives));
  responses[std::to_string(route.status)] = Object{{"description", text(route.about)}, {"content", std::move(content)}};
  for (int status : refusals_of(route)) {
    responses[std::to_string(status)] =
        Object{{"description", text(meaning(status))}, {"content", content_of(reference("Error"))}};
  }
  operation["responses"] = std::move(responses);
  return operation;
}

std::string lower(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

std::string AdminCall::text(std::string_view name) const {
  auto found = query.find(name);
  return found == query.end() ? std::string() : found->second;
}

std::int64_t AdminCall::integer(std::string_view name, std::int64_t fallback) const {
  auto found = query.find(name);
  if (found == query.end()) return fallback;
  std::from_chars(found->second.data(), found->second.data() + found->second.size(), fallback);
  return fallback;
}

int status_of(Errc code) {
  switch (code) {
    case Errc::protocol_error: return 400;
    case Errc::not_found: return 404;
    case Errc::already_exists:
    case Errc::failed_precondition: return 409;
    case Errc::invalid_argument:
    case Errc::out_of_range: return 422;
    case Errc::permission_denied:
    case Errc::unauthenticated: return 403;
    case Errc::unimplemented: return 501;
    case Errc::resource_exhausted:
    case Errc::unavailable:
    case Errc::backpressure:
    case Errc::deadline_exceeded: return 503;
    default: return 500;
  }
}

Object describe(const std::vector<AdminRoute>& routes) {
  Object paths;
  for (const AdminRoute& route : routes) {
    auto& item = paths[route.path];
    if (!item.is_object()) item = Object();
    item.get_object()[lower(route.method)] = operation_of(route);
  }
  Object schemas;
  for (const Shape& one : shapes()) schemas[one.name] = schema_of(one);
  Object bearer{{"type", "http"}, {"scheme", "bearer"}, {"description", "The key under `admin` of the configuration."}};
  Object components{{"schemas", std::move(schemas)}, {"securitySchemes", Object{{"key", std::move(bearer)}}}};
  Object info{{"title", "Penstock admin API"}, {"version", text(base::kVersion)}};
  // No key is needed where none is configured.
  Array security{Object{{"key", Array()}}, Object()};
  return Object{{"openapi", "3.1.0"},
                {"info", std::move(info)},
                {"security", std::move(security)},
                {"paths", std::move(paths)},
                {"components", std::move(components)}};
}

}  // namespace penstock::app
