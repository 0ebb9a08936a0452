// Triton's ModelConfig as protobuf, as far as something here corresponds to it.
#include "infer/oip_proto.h"
#include "infer/oip_proto_wire.h"

namespace penstock::infer::oip {
namespace {

using protozero::pbf_writer;

// Its DataType, in the order of ours.
constexpr std::array<std::int32_t, 14> kTypes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 13};
static_assert(static_cast<std::size_t>(Datatype::bytes) + 1 == kTypes.size());

void add_text(pbf_writer& writer, std::uint32_t field, std::string_view text) {
  if (!text.empty()) writer.add_string(field, text.data(), text.size());
}

void add_spec(pbf_writer& model, std::uint32_t field, std::uint32_t dims, const TensorSpec& spec, bool batched) {
  pbf_writer tensor(model, field);
  add_text(tensor, 1, spec.name);
  tensor.add_enum(2, kTypes[static_cast<std::size_t>(spec.datatype)]);
  tensor.add_packed_int64(dims, spec.shape.begin() + (batched ? 1 : 0), spec.shape.end());
}

void add_version_policy(pbf_writer& model, const ModelConfig& config) {
  pbf_writer policy(model, 3);
  switch (config.serve) {
    case ModelConfig::Serve::latest: {
      pbf_writer latest(policy, 1);
      latest.add_uint32(1, static_cast<std::uint32_t>(config.latest));
      return;
    }
    case ModelConfig::Serve::all: policy.add_message(2, "", 0); return;
    case ModelConfig::Serve::listed: {
      pbf_writer specific(policy, 3);
      specific.add_packed_int64(1, config.versions.begin(), config.versions.end());
      return;
    }
  }
}

std::uint64_t micros(base::Duration time) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

void add_dynamic_batching(pbf_writer& model, const ModelConfig& config) {
  pbf_writer batching(model, 11);
  batching.add_packed_int32(1, config.batch.preferred.begin(), config.batch.preferred.end());
  batching.add_uint64(2, micros(config.batch.wait));
  batching.add_uint64(4, config.queue.priorities);
  batching.add_uint64(5, config.queue.default_priority);
  pbf_writer policy(batching, 6);
  policy.add_enum(1, config.queue.delay ? 1 : 0);
  policy.add_uint64(2, micros(config.queue.timeout));
  policy.add_bool(3, config.queue.allow_timeout);
  policy.add_uint32(4, static_cast<std::uint32_t>(config.queue.max));
}

void add_instances(pbf_writer& model, const ModelConfig& config, const ModelInfo& info) {
  constexpr std::int32_t kGpu = 1, kCpu = 2;
  pbf_writer group(model, 7);
  add_text(group, 1, config.name);
  group.add_int32(2, static_cast<std::int32_t>(std::max<std::size_t>(config.instances.max, 1)));
  group.add_enum(4, info.accelerator == "cuda" || info.accelerator == "tensorrt" ? kGpu : kCpu);
}

void add_tags(pbf_writer& model, const ModelConfig& config) {
  for (const auto& [name, value] : config.residence.tags) {
    pbf_writer tag(model, 10);
    add_text(tag, 1, name);
    add_text(tag, 2, value);
  }
}

// What Triton's form has no place for.
void add_parameter(pbf_writer& model, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  pbf_writer entry(model, 14);
  add_text(entry, 1, name);
  pbf_writer text(entry, 2);
  add_text(text, 1, value);
}

}  // namespace

std::string encode_config_message(const ModelConfig& config, const ModelInfo& info) {
  bool batched = batches(config, info);
  std::string message;
  pbf_writer answer(message);
  pbf_writer model(answer, 1);
  add_text(model, 1, config.name);
  add_text(model, 2, info.platform);
  add_text(model, 17, std::string_view(info.platform).substr(0, info.platform.find('_')));
  add_version_policy(model, config);
  if (batched) model.add_int32(4, static_cast<std::int32_t>(config.batch.max));
  for (const TensorSpec& spec : info.inputs) add_spec(model, 5, 4, spec, batched);
  for (const TensorSpec& spec : info.outputs) add_spec(model, 6, 3, spec, batched);
  add_instances(model, config, info);
  if (batched || config.queue != QueueConfig()) add_dynamic_batching(model, config);
  add_tags(model, config);
  add_parameter(model, "intra_op_thread_count", fmt::format("{}", config.runtime.threads));
  add_parameter(model, "accelerator", info.accelerator);
  add_parameter(model, "owner", config.residence.owner);
  add_parameter(model, "licence", config.residence.licence);
  add_parameter(model, "description", config.residence.description);
  for (const auto& [label, version] : config.traffic.labels)
    add_parameter(model, "label." + label, fmt::format("{}", version));
  model.commit();
  return message;
}

}  // namespace penstock::infer::oip
