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

json::Object tally_json(const Tally& tally) { return {{"count", tally.count}, {"ns", tally.nanoseconds}}; }

// The three phases of a run are had by the same requests: perf_analyzer gives up when their counts differ.
json::Object phase_json(const Tally& phase, const Tally& compute) {
  return tally_json({compute.count, phase.nanoseconds});
}

json::Array batches_json(const StatsView& stats) {
  json::Array list;
  for (const BatchTally& batch : stats.batches) {
    list.push_back(json::Object{{"batch_size", batch.rows},
                                {"compute_input", phase_json(batch.input, batch.compute)},
                                {"compute_infer", tally_json(batch.compute)},
                                {"compute_output", phase_json(batch.output, batch.compute)}});
  }
  return list;
}

json::Object stats_json(std::string_view name, const VersionStatus& version) {
  const StatsView stats = version.stats.value_or(StatsView());
  const json::Object none = tally_json({});
  json::Object inference{{"success", tally_json(stats.success)},
                         {"fail", tally_json(stats.failure)},
                         {"queue", tally_json(stats.queue)},
                         {"compute_input", phase_json(stats.input, stats.compute)},
                         {"compute_infer", tally_json(stats.compute)},
                         {"compute_output", phase_json(stats.output, stats.compute)},
                         {"cache_hit", none},
                         {"cache_miss", none}};
  json::Array memory;
  if (version.memory_bytes > 0)
    memory.push_back(json::Object{{"type", "CPU"}, {"id", 0}, {"byte_size", version.memory_bytes}});
  return {{"name", text(name)},
          {"version", text(version.version)},
          {"last_inference", stats.last_millis},
          {"inference_count", stats.inferences},
          {"execution_count", stats.executions},
          {"inference_stats", std::move(inference)},
          {"response_stats", json::Object()},
          {"batch_stats", batches_json(stats)},
          {"memory_usage", std::move(memory)}};
}

}  // namespace

std::vector<std::string_view> extensions(bool generates) {
  std::vector<std::string_view> names{"binary_tensor_data",
                                      "classification",
                                      "model_configuration",
                                      "model_repository",
                                      "model_repository(unload_dependents)",
                                      "schedule_policy",
                                      "statistics"};
  if (generates) names.push_back("generate");
  return names;
}

std::string encode_server(std::string_view version, bool generates) {
  json::Array names;
  for (std::string_view name : extensions(generates)) names.push_back(text(name));
  return json::dump(json::Object{{"name", "penstock"}, {"version", text(version)}, {"extensions", std::move(names)}});
}

std::string encode_health(bool ready) { return json::dump(json::Object{{"live", true}, {"ready", ready}}); }

std::string encode_model_ready(std::string_view name, bool ready, std::string_view why) {
  json::Object body{{"name", text(name)}, {"ready", ready}};
  if (!why.empty()) body["error"] = text(why);
  return json::dump(body);
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
