#include "infer/oip.h"
#include "json/value.h"

namespace penstock::infer::oip {
namespace {

json::Value text(std::string_view value) { return json::Value(boost::json::string_view(value.data(), value.size())); }

json::Array shape_json(const std::vector<std::int64_t>& shape) { return json::Array(shape.begin(), shape.end()); }

json::Array specs_json(const std::vector<TensorSpec>& specs) {
  json::Array result;
  for (const TensorSpec& spec : specs) {
    result.push_back(json::Object{
        {"name", text(spec.name)}, {"datatype", text(to_string(spec.datatype))}, {"shape", shape_json(spec.shape)}});
  }
  return result;
}

// Triton's model configuration has its own type names and keeps whole shapes in `dims` when max_batch_size is 0.
json::Array config_specs_json(const std::vector<TensorSpec>& specs) {
  json::Array result;
  for (const TensorSpec& spec : specs) {
    std::string type =
        spec.datatype == Datatype::bytes ? "TYPE_STRING" : fmt::format("TYPE_{}", to_string(spec.datatype));
    result.push_back(
        json::Object{{"name", text(spec.name)}, {"data_type", text(type)}, {"dims", shape_json(spec.shape)}});
  }
  return result;
}

json::Object tally_json(const Tally& tally) { return {{"count", tally.count}, {"ns", tally.nanoseconds}}; }

json::Object stats_json(std::string_view name, const VersionStatus& version) {
  const StatsView stats = version.stats.value_or(StatsView());
  const json::Object none = tally_json({});
  json::Object inference{{"success", tally_json(stats.success)},
                         {"fail", tally_json(stats.failure)},
                         {"queue", tally_json(stats.queue)},
                         {"compute_input", none},
                         {"compute_infer", tally_json(stats.compute)},
                         {"compute_output", none},
                         {"cache_hit", none},
                         {"cache_miss", none}};
  return {{"name", text(name)},
          {"version", text(version.version)},
          {"last_inference", stats.last_millis},
          {"inference_count", stats.inferences},
          {"execution_count", stats.compute.count},
          {"inference_stats", std::move(inference)},
          {"batch_stats", json::Array()}};
}

}  // namespace

std::string encode_server(std::string_view version) {
  return json::dump(json::Object{
      {"name", "penstock"},
      {"version", text(version)},
      {"extensions", json::Array{"binary_tensor_data", "model_configuration", "model_repository", "statistics"}}});
}

std::string encode_health(bool ok) { return json::dump(json::Object{{"live", ok}, {"ready", ok}}); }

std::string encode_model_ready(std::string_view name, bool ready) {
  return json::dump(json::Object{{"name", text(name)}, {"ready", ready}});
}

std::string encode_model(std::string_view name, std::span<const std::string> versions, const ModelInfo& info) {
  json::Array numbers;
  for (const std::string& version : versions) numbers.push_back(text(version));
  return json::dump(json::Object{{"name", text(name)},
                                 {"versions", std::move(numbers)},
                                 {"platform", text(info.platform)},
                                 {"inputs", specs_json(info.inputs)},
                                 {"outputs", specs_json(info.outputs)}});
}

std::string encode_config(std::string_view name, const ModelInfo& info) {
  return json::dump(json::Object{{"name", text(name)},
                                 {"platform", text(info.platform)},
                                 {"backend", text(info.platform.substr(0, info.platform.find('_')))},
                                 {"max_batch_size", 0},
                                 {"input", config_specs_json(info.inputs)},
                                 {"output", config_specs_json(info.outputs)}});
}

std::string encode_stats(std::span<const ModelStatus> models, std::string_view name, std::string_view version) {
  json::Array list;
  for (const ModelStatus& model : models) {
    if (!name.empty() && model.name != name) continue;
    for (const VersionStatus& candidate : model.versions) {
      if (candidate.stats && (version.empty() || candidate.version == version)) {
        list.push_back(stats_json(model.name, candidate));
      }
    }
  }
  return json::dump(json::Object{{"model_stats", std::move(list)}});
}

std::string encode_index(std::span<const ModelStatus> models, bool ready_only) {
  json::Array list;
  for (const ModelStatus& model : models) {
    for (const VersionStatus& version : model.versions) {
      if (ready_only && !version.ready) continue;
      json::Object entry{{"name", text(model.name)}};
      if (!version.version.empty()) entry["version"] = text(version.version);
      entry["state"] = text(version.ready ? "READY" : "UNAVAILABLE");
      entry["reason"] = text(version.reason);
      list.push_back(std::move(entry));
    }
  }
  return json::dump(json::Value(std::move(list)));
}

std::string encode_error(const Error& error) {
  std::string body = "{\"error\":";
  json::append_quoted(body, error.detail);
  body += '}';
  return body;
}

int http_status(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
    case Errc::out_of_range:
    case Errc::protocol_error: return 400;
    case Errc::unauthenticated: return 401;
    case Errc::permission_denied: return 403;
    case Errc::not_found: return 404;
    case Errc::already_exists:
    case Errc::failed_precondition: return 409;
    case Errc::resource_exhausted: return 429;
    case Errc::cancelled: return 499;
    case Errc::internal:
    case Errc::data_loss: return 500;
    case Errc::unimplemented: return 501;
    case Errc::unavailable:
    case Errc::backpressure: return 503;
    case Errc::deadline_exceeded: return 504;
  }
  return 500;
}

}  // namespace penstock::infer::oip
