// Triton's ModelConfig as JSON: the names and types of
// https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto, which perf_analyzer and
// Triton's clients read.
#include "infer/oip.h"
#include "json/value.h"

namespace penstock::infer::oip {
namespace {

json::Value text(std::string_view value) { return json::Value(boost::json::string_view(value.data(), value.size())); }

bool is_open_first(const TensorSpec& spec) { return !spec.shape.empty() && spec.shape.front() < 0; }

json::Object spec_json(const TensorSpec& spec, bool without_first) {
  std::string_view type = spec.datatype == Datatype::bytes ? "STRING" : to_string(spec.datatype);
  auto begin = spec.shape.begin() + (without_first ? 1 : 0);
  return {{"name", text(spec.name)},
          {"data_type", text(fmt::format("TYPE_{}", type))},
          {"dims", json::Array(begin, spec.shape.end())},
          {"is_shape_tensor", false}};
}

json::Array inputs_json(const std::vector<TensorSpec>& specs, bool without_first) {
  json::Array list;
  for (const TensorSpec& spec : specs) {
    json::Object input = spec_json(spec, without_first);
    input["format"] = "FORMAT_NONE";
    input["allow_ragged_batch"] = false;
    input["optional"] = false;
    list.push_back(std::move(input));
  }
  return list;
}

json::Array outputs_json(const std::vector<TensorSpec>& specs, bool without_first) {
  json::Array list;
  for (const TensorSpec& spec : specs) {
    json::Object output = spec_json(spec, without_first);
    output["label_filename"] = "";
    list.push_back(std::move(output));
  }
  return list;
}

json::Object version_policy_json(const ModelConfig& config) {
  switch (config.serve) {
    case ModelConfig::Serve::latest: return {{"latest", json::Object{{"num_versions", config.latest}}}};
    case ModelConfig::Serve::all: return {{"all", json::Object()}};
    case ModelConfig::Serve::listed:
      return {{"specific", json::Object{{"versions", json::Array(config.versions.begin(), config.versions.end())}}}};
  }
  return {};
}

std::int64_t micros(base::Duration time) { return std::chrono::duration_cast<std::chrono::microseconds>(time).count(); }

json::Object batching_json(const BatchConfig& batch, const QueueConfig& queue) {
  json::Object policy{{"timeout_action", queue.delay ? "DELAY" : "REJECT"},
                      {"default_timeout_microseconds", micros(queue.timeout)},
                      {"allow_timeout_override", queue.allow_timeout},
                      {"max_queue_size", queue.max}};
  return {{"preferred_batch_size", json::Array(batch.preferred.begin(), batch.preferred.end())},
          {"max_queue_delay_microseconds", micros(batch.wait)},
          {"preserve_ordering", false},
          {"priority_levels", queue.priorities},
          {"default_priority_level", queue.default_priority},
          {"default_queue_policy", std::move(policy)},
          {"priority_queue_policy", json::Object()}};
}

bool is_gpu(std::string_view accelerator) { return accelerator == "cuda" || accelerator == "tensorrt"; }

json::Array instances_json(const ModelConfig& config, const ModelInfo& info) {
  bool gpu = is_gpu(info.accelerator);
  json::Array gpus;
  if (gpu) gpus.push_back(0);
  return {json::Object{{"name", text(config.name)},
                       {"kind", gpu ? "KIND_GPU" : "KIND_CPU"},
                       {"count", std::max<std::size_t>(config.instances.max, 1)},
                       {"gpus", std::move(gpus)},
                       {"secondary_devices", json::Array()},
                       {"profile", json::Array()},
                       {"passive", false},
                       {"host_policy", ""}}};
}

// Accelerators other than the CPU itself, by Triton's places for them.
json::Object optimization_json(const ModelConfig& config) {
  json::Array cpu, gpu;
  for (const std::string& name : config.runtime.accelerators) {
    if (name == "cpu") continue;
    (is_gpu(name) ? gpu : cpu).push_back(json::Object{{"name", text(name)}, {"parameters", json::Object()}});
  }
  json::Object accelerators;
  if (!gpu.empty()) accelerators["gpu_execution_accelerator"] = std::move(gpu);
  if (!cpu.empty()) accelerators["cpu_execution_accelerator"] = std::move(cpu);
  json::Object optimization{{"priority", "PRIORITY_DEFAULT"}};
  if (!accelerators.empty()) optimization["execution_accelerators"] = std::move(accelerators);
  return optimization;
}

// What Triton's form has no place for.
json::Object parameters_json(const ModelConfig& config, const ModelInfo& info) {
  json::Object list;
  auto add = [&](const std::string& name, std::string_view value) {
    if (!value.empty()) list[name] = json::Object{{"string_value", text(value)}};
  };
  add("intra_op_thread_count", fmt::format("{}", config.runtime.threads));
  add("accelerator", info.accelerator);
  add("owner", config.residence.owner);
  add("licence", config.residence.licence);
  add("description", config.residence.description);
  for (const auto& [label, version] : config.traffic.labels) add("label." + label, fmt::format("{}", version));
  return list;
}

}  // namespace

bool batches(const ModelConfig& config, const ModelInfo& info) {
  return config.batch.max > 1 && std::ranges::all_of(info.inputs, is_open_first) &&
         std::ranges::all_of(info.outputs, is_open_first);
}

std::string encode_config(const ModelConfig& config, const ModelInfo& info) {
  bool batched = batches(config, info);
  bool scheduled = batched || config.queue != QueueConfig();
  json::Object tags;
  for (const auto& [name, value] : config.residence.tags) tags[name] = text(value);
  json::Object body{{"name", text(config.name)},
                    {"platform", text(info.platform)},
                    {"backend", text(info.platform.substr(0, info.platform.find('_')))},
                    {"version_policy", version_policy_json(config)},
                    {"max_batch_size", batched ? config.batch.max : 0},
                    {"input", inputs_json(info.inputs, batched)},
                    {"output", outputs_json(info.outputs, batched)},
                    {"batch_input", json::Array()},
                    {"batch_output", json::Array()},
                    {"optimization", optimization_json(config)},
                    {"instance_group", instances_json(config, info)},
                    {"default_model_filename", ""},
                    {"cc_model_filenames", json::Object()},
                    {"metric_tags", std::move(tags)},
                    {"parameters", parameters_json(config, info)},
                    {"model_warmup", json::Array()},
                    {"model_transaction_policy", json::Object{{"decoupled", false}}}};
  if (scheduled) body["dynamic_batching"] = batching_json(config.batch, config.queue);
  return json::dump(body);
}

}  // namespace penstock::infer::oip
