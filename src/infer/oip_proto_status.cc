#include "infer/oip_proto.h"
#include "infer/oip_proto_wire.h"

namespace penstock::infer::oip {
namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

void add_text(pbf_writer& writer, std::uint32_t field, std::string_view text) {
  writer.add_string(field, text.data(), text.size());
}

void add_spec(pbf_writer& model, std::uint32_t field, const TensorSpec& spec) {
  pbf_writer tensor(model, field);
  add_text(tensor, 1, spec.name);
  add_text(tensor, 2, to_string(spec.datatype));
  tensor.add_packed_int64(3, spec.shape.begin(), spec.shape.end());
}

// StatisticDuration.
void add_tally(pbf_writer& parent, std::uint32_t field, const Tally& tally) {
  pbf_writer duration(parent, field);
  duration.add_uint64(1, tally.count);
  duration.add_uint64(2, tally.nanoseconds);
}

void add_version(pbf_writer& answer, std::string_view name, const VersionStatus& version) {
  const StatsView& stats = *version.stats;
  pbf_writer model(answer, 1);
  add_text(model, 1, name);
  add_text(model, 2, version.version);
  model.add_uint64(3, stats.last_millis);
  model.add_uint64(4, stats.inferences);
  model.add_uint64(5, stats.executions);
  {
    pbf_writer inference(model, 6);
    std::array<const Tally*, 6> phases{&stats.success, &stats.failure, &stats.queue,
                                       &stats.input,   &stats.compute, &stats.output};
    for (std::uint32_t i = 0; i < phases.size(); ++i) add_tally(inference, i + 1, *phases[i]);
  }
  for (const BatchTally& batch : stats.batches) {
    pbf_writer size(model, 7);
    size.add_uint64(1, batch.rows);
    add_tally(size, 2, batch.input);
    add_tally(size, 3, batch.compute);
    add_tally(size, 4, batch.output);
  }
  if (version.memory_bytes > 0) {
    pbf_writer memory(model, 8);
    add_text(memory, 1, "CPU");
    memory.add_uint64(3, version.memory_bytes);
  }
}

// A string field of a request message; the last counts.
Result<std::string> text_field(std::string_view message, std::uint32_t field, std::string_view what) {
  return read_message([&]() -> Result<std::string> {
    std::string text;
    pbf_reader reader(message.data(), message.size());
    while (reader.next(field, protozero::pbf_wire_type::length_delimited)) {
      auto read = text_of(reader, what);
      if (!read) return std::unexpected(read.error());
      text = *read;
    }
    return text;
  });
}

// One entry of map<string, ModelRepositoryParameter>: what is text or bytes of it.
Result<void> read_load_parameter(pbf_reader entry, LoadRequest& wanted) {
  std::string_view name;
  std::string_view value;
  while (entry.next()) {
    if (entry.tag_and_type() == bytes_field(1)) {
      auto text = text_of(entry, "a parameter's name");
      if (!text) return std::unexpected(text.error());
      name = *text;
    } else if (entry.tag_and_type() == bytes_field(2)) {
      pbf_reader choice = entry.get_message();
      while (choice.next()) {
        if (choice.tag_and_type() == bytes_field(3) || choice.tag_and_type() == bytes_field(4)) {
          value = bytes_of(choice);
        } else {
          choice.skip();
        }
      }
    } else {
      entry.skip();
    }
  }
  constexpr std::string_view kFile = "file:";
  if (name == "config") wanted.config = value;
  if (name.starts_with(kFile)) wanted.files[std::string(name.substr(kFile.size()))] = value;
  return {};
}

}  // namespace

Result<ModelName> parse_model_name(std::string_view message) {
  auto name = text_field(message, 1, "name");
  if (!name) return std::unexpected(name.error());
  auto version = text_field(message, 2, "version");
  if (!version) return std::unexpected(version.error());
  return ModelName{std::move(*name), std::move(*version)};
}

std::string encode_flag_message(bool value) {
  std::string message;
  if (value) pbf_writer(message).add_bool(1, true);
  return message;
}

std::string encode_server_message(std::string_view version) {
  std::string message;
  pbf_writer writer(message);
  add_text(writer, 1, "penstock");
  add_text(writer, 2, version);
  for (std::string_view extension : extensions(false)) add_text(writer, 3, extension);
  return message;
}

std::string encode_model_message(std::string_view name, std::span<const std::string> versions, const ModelInfo& info) {
  std::string message;
  pbf_writer writer(message);
  add_text(writer, 1, name);
  for (const std::string& version : versions) add_text(writer, 2, version);
  add_text(writer, 3, info.platform);
  for (const TensorSpec& spec : info.inputs) add_spec(writer, 4, spec);
  for (const TensorSpec& spec : info.outputs) add_spec(writer, 5, spec);
  return message;
}

std::string encode_statistics_message(std::span<const ModelStatus> models, std::string_view name,
                                      std::string_view version) {
  std::string message;
  pbf_writer writer(message);
  for (const ModelStatus& model : models) {
    if (!name.empty() && model.name != name) continue;
    for (const VersionStatus& candidate : model.versions) {
      if (candidate.stats && (version.empty() || candidate.version == version))
        add_version(writer, model.name, candidate);
    }
  }
  return message;
}

Result<bool> parse_index_message(std::string_view message) {
  return read_message([&]() -> Result<bool> {
    bool ready = false;
    pbf_reader reader(message.data(), message.size());
    while (reader.next(2, protozero::pbf_wire_type::varint)) ready = reader.get_bool();
    return ready;
  });
}

std::string encode_index_message(std::span<const ModelStatus> models, bool ready_only) {
  std::string message;
  pbf_writer writer(message);
  for (const ModelStatus& model : models) {
    for (const VersionStatus& version : model.versions) {
      if (ready_only && !version.ready) continue;
      pbf_writer entry(writer, 1);
      add_text(entry, 1, model.name);
      add_text(entry, 2, version.version);
      add_text(entry, 3, version.ready ? "READY" : "UNAVAILABLE");
      add_text(entry, 4, version.reason);
    }
  }
  return message;
}

Result<LoadRequest> parse_load_message(std::string_view message) {
  return read_message([&]() -> Result<LoadRequest> {
    LoadRequest wanted;
    auto name = parse_unload_message(message);
    if (!name) return std::unexpected(name.error());
    wanted.name = std::move(*name);
    pbf_reader reader(message.data(), message.size());
    while (reader.next(3, protozero::pbf_wire_type::length_delimited)) {
      if (auto read = read_load_parameter(reader.get_message(), wanted); !read) return std::unexpected(read.error());
    }
    return wanted;
  });
}

Result<std::string> parse_unload_message(std::string_view message) { return text_field(message, 2, "model_name"); }

Result<std::string> parse_health_message(std::string_view message) { return text_field(message, 1, "service"); }

std::string encode_health_message(Health health) {
  std::string message;
  pbf_writer(message).add_enum(1, static_cast<std::int32_t>(health));
  return message;
}

}  // namespace penstock::infer::oip
