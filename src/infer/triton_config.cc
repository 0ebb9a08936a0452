#include "infer/triton_config.h"

#include <charconv>

#include "infer/proto_text.h"

namespace penstock::infer {
namespace {

using Kind = ProtoField::Kind;
using std::chrono::microseconds;

constexpr std::int64_t kBatchMax = 65536;
constexpr std::int64_t kInstancesMax = 1024;
constexpr std::int64_t kPrioritiesMax = 64;
constexpr std::int64_t kMicrosMax = 3600LL * 1000 * 1000;

const std::vector<std::string_view> kMapFields{
    "parameters", "metric_tags", "inputs", "cc_model_filenames", "priority_queue_policy", "input_map", "output_map"};

struct Mapping;
// What becomes of one field. Without `take` there is no counterpart here.
struct Rule {
  std::string_view name;
  void (*take)(Mapping& to, const ProtoField& field);
};

struct Mapping {
  ModelConfig model;
  std::string file;
  std::string path;  // of the message being read, for notes
  std::int64_t batch = 0;
  std::int64_t instances = 0;
  std::vector<std::string> problems;

  void problem(const ProtoField& field, std::string_view what) {
    problems.push_back(fmt::format("{}:{}:{}: {}{}: {}", file, field.at.line, field.at.column, path, field.name, what));
  }
  void unmapped(std::string_view name, std::string_view why = {}) {
    std::string note = fmt::format("{}{}{}", path, name, why.empty() ? "" : fmt::format(" ({})", why));
    auto& notes = model.unmapped;
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(std::move(note));
  }
  void given(std::string_view key) {
    if (std::find(model.given.begin(), model.given.end(), key) == model.given.end()) model.given.emplace_back(key);
  }
  void each(const ProtoField& message, std::span<const Rule> rules);
  void read(const std::vector<ProtoField>& fields, std::span<const Rule> rules);
  std::int64_t integer(const ProtoField& field, std::int64_t least, std::int64_t most);
  bool boolean(const ProtoField& field);
};

void Mapping::read(const std::vector<ProtoField>& fields, std::span<const Rule> rules) {
  for (const ProtoField& field : fields) {
    auto rule = std::find_if(rules.begin(), rules.end(), [&](const Rule& one) { return one.name == field.name; });
    if (rule == rules.end()) {
      std::vector<std::string> names;
      for (const Rule& one : rules) names.emplace_back(one.name);
      auto hint = base::closest(field.name, names);
      problem(field, hint ? fmt::format("unknown field; did you mean '{}'?", *hint) : "unknown field");
    } else if (rule->take == nullptr) {
      unmapped(field.name);
    } else {
      rule->take(*this, field);
    }
  }
}

void Mapping::each(const ProtoField& message, std::span<const Rule> rules) {
  if (message.kind != Kind::message) return problem(message, "expected a message: { ... }");
  std::string outer = path;
  path += message.name + ".";
  read(message.fields, rules);
  path = std::move(outer);
}

std::int64_t Mapping::integer(const ProtoField& field, std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  bool hex = field.text.starts_with("0x") || field.text.starts_with("0X");
  const char* begin = field.text.data() + (hex ? 2 : 0);
  const char* end = field.text.data() + field.text.size();
  auto [stop, error] = std::from_chars(begin, end, value, hex ? 16 : 10);
  // JSON writes 64 bits as strings.
  bool scalar = field.kind == Kind::number || field.kind == Kind::string;
  if (!scalar || begin == end || stop != end || error != std::errc{}) {
    problem(field, "expected a whole number");
    return least;
  }
  if (value < least || value > most) {
    problem(field, fmt::format("{} is out of range; allowed are {} to {}", value, least, most));
    return least;
  }
  return value;
}

bool Mapping::boolean(const ProtoField& field) {
  for (std::string_view yes : {"true", "True", "t", "1"}) {
    if (field.text == yes) return true;
  }
  for (std::string_view no : {"false", "False", "f", "0"}) {
    if (field.text == no) return false;
  }
  problem(field, "expected true or false");
  return false;
}

void ignore(Mapping&, const ProtoField&) {}

// --- tensors ---

std::optional<Datatype> datatype_of(std::string_view text) {
  // TYPE_STRING is the one whose name differs from the protocol's.
  if (text == "TYPE_STRING") return Datatype::bytes;
  if (!text.starts_with("TYPE_")) return std::nullopt;
  return parse_datatype(text.substr(5));
}

TensorSpec read_tensor(Mapping& to, const ProtoField& field) {
  TensorSpec spec;
  if (field.kind != Kind::message) {
    to.problem(field, "expected a message: { ... }");
    return spec;
  }
  std::vector<std::int64_t> model_shape;
  bool reshaped = false;
  for (const ProtoField& part : field.fields) {
    if (part.name == "name") {
      spec.name = part.text;
    } else if (part.name == "data_type") {
      auto datatype = datatype_of(part.text);
      if (!datatype) to.problem(part, fmt::format("'{}' is no datatype such as TYPE_FP32", part.text));
      spec.datatype = datatype.value_or(Datatype::fp32);
    } else if (part.name == "dims") {
      spec.shape.push_back(to.integer(part, -1, std::int64_t{1} << 40));
    } else if (part.name == "reshape") {
      reshaped = true;
      for (const ProtoField& dimension : part.fields) model_shape.push_back(to.integer(dimension, -1, INT64_MAX));
      to.unmapped(field.name + "." + part.name, "tensors are taken in the model's own shape");
    } else if (part.name != "format" || part.text != "FORMAT_NONE") {
      to.unmapped(field.name + "." + part.name);
    }
  }
  if (reshaped) spec.shape = std::move(model_shape);
  if (to.batch > 0) spec.shape.insert(spec.shape.begin(), -1);
  if (spec.name.empty()) to.problem(field, "the tensor has no name");
  return spec;
}

void take_input(Mapping& to, const ProtoField& field) {
  to.model.inputs.push_back(read_tensor(to, field));
  to.given("inputs");
}

void take_output(Mapping& to, const ProtoField& field) {
  to.model.outputs.push_back(read_tensor(to, field));
  to.given("outputs");
}

// --- batching and queues ---

void take_timeout_action(Mapping& to, const ProtoField& field) { to.model.queue.delay = field.text == "DELAY"; }

constexpr std::array kQueueRules{
    Rule{"timeout_action", take_timeout_action},
    Rule{"default_timeout_microseconds",
         [](Mapping& to, const ProtoField& field) {
           to.model.queue.timeout = microseconds(to.integer(field, 0, kMicrosMax));
         }},
    Rule{"allow_timeout_override",
         [](Mapping& to, const ProtoField& field) { to.model.queue.allow_timeout = to.boolean(field); }},
    Rule{"max_queue_size",
         [](Mapping& to, const ProtoField& field) {
           // 0 is no bound there; here everything has one.
           if (auto size = to.integer(field, 0, 1 << 20); size > 0) to.model.queue.max = static_cast<std::size_t>(size);
         }},
};

void take_queue_policy(Mapping& to, const ProtoField& field) {
  // Theirs lets a request shorten its wait only where it says so.
  to.model.queue.allow_timeout = false;
  to.each(field, kQueueRules);
  to.given("queue");
}

constexpr std::array kBatchingRules{
    Rule{"preferred_batch_size",
         [](Mapping& to, const ProtoField& field) {
           if (to.batch < 1) return to.problem(field, "needs a max_batch_size");
           to.model.batch.preferred.push_back(static_cast<std::size_t>(to.integer(field, 1, to.batch)));
         }},
    Rule{"max_queue_delay_microseconds",
         [](Mapping& to, const ProtoField& field) {
           to.model.batch.wait = microseconds(to.integer(field, 0, kMicrosMax));
         }},
    Rule{"priority_levels",
         [](Mapping& to, const ProtoField& field) {
           auto levels = to.integer(field, 0, kPrioritiesMax);
           to.model.queue.priorities = static_cast<std::uint32_t>(std::max<std::int64_t>(levels, 1));
           to.given("queue");
         }},
    Rule{"default_priority_level",
         [](Mapping& to, const ProtoField& field) {
           auto level = to.integer(field, 0, kPrioritiesMax);
           to.model.queue.default_priority = static_cast<std::uint32_t>(std::max<std::int64_t>(level, 1));
           to.given("queue");
         }},
    Rule{"default_queue_policy", take_queue_policy},
    Rule{"priority_queue_policy", nullptr},
    Rule{"preserve_ordering",
         [](Mapping& to, const ProtoField& field) {
           if (to.boolean(field)) to.unmapped(field.name);
         }},
};

void take_batching(Mapping& to, const ProtoField& field) {
  to.each(field, kBatchingRules);
  std::sort(to.model.batch.preferred.begin(), to.model.batch.preferred.end());
  if (to.model.queue.default_priority > to.model.queue.priorities)
    to.problem(field, "default_priority_level is more than priority_levels");
}

void take_batch_size(Mapping& to, const ProtoField& field) {
  to.model.batch.max = static_cast<std::size_t>(std::max<std::int64_t>(to.integer(field, 0, kBatchMax), 1));
  to.given("batch");
}

// --- instances, versions, accelerators ---

void add_accelerator(Mapping& to, std::string_view name) {
  auto& names = to.model.runtime.accelerators;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
  to.given("accelerators");
}

constexpr std::array kInstanceRules{
    Rule{"name", ignore},
    Rule{"kind",
         [](Mapping& to, const ProtoField& field) {
           if (field.text == "KIND_GPU") add_accelerator(to, "cuda");
           if (field.text == "KIND_MODEL") to.unmapped("kind KIND_MODEL");
         }},
    Rule{"count",
         [](Mapping& to, const ProtoField& field) {
           to.instances = std::min(to.instances + to.integer(field, 0, kInstancesMax), kInstancesMax);
         }},
    Rule{"gpus", nullptr},
    Rule{"secondary_devices", nullptr},
    Rule{"profile", nullptr},
    Rule{"passive", nullptr},
    Rule{"host_policy", nullptr},
    Rule{"rate_limiter", nullptr},
};

void take_instances(Mapping& to, const ProtoField& field) {
  to.each(field, kInstanceRules);
  if (to.instances == 0) return;
  to.model.instances.min = to.model.instances.max = static_cast<std::size_t>(to.instances);
  to.given("instances");
}

constexpr std::array kLatestRules{Rule{"num_versions", [](Mapping& to, const ProtoField& field) {
                                         to.model.latest = static_cast<std::size_t>(to.integer(field, 1, 1000));
                                       }}};
constexpr std::array kSpecificRules{Rule{"versions", [](Mapping& to, const ProtoField& field) {
                                           auto version = to.integer(field, 1, INT64_MAX);
                                           auto& versions = to.model.versions;
                                           auto place = std::lower_bound(versions.begin(), versions.end(), version);
                                           if (place == versions.end() || *place != version)
                                             versions.insert(place, version);
                                         }}};
constexpr std::array kPolicyRules{
    Rule{"latest", [](Mapping& to, const ProtoField& field) { to.each(field, kLatestRules); }},
    Rule{"all", [](Mapping& to, const ProtoField&) { to.model.serve = ModelConfig::Serve::all; }},
    Rule{"specific",
         [](Mapping& to, const ProtoField& field) {
           to.model.serve = ModelConfig::Serve::listed;
           to.each(field, kSpecificRules);
           if (to.model.versions.empty()) to.problem(field, "lists no versions");
         }},
};

void take_policy(Mapping& to, const ProtoField& field) {
  to.each(field, kPolicyRules);
  to.given("serve");
}

constexpr std::array kAcceleratorRules{
    Rule{"name", [](Mapping& to, const ProtoField& field) { add_accelerator(to, field.text); }},
    Rule{"parameters", nullptr},
};
void take_accelerator(Mapping& to, const ProtoField& field) { to.each(field, kAcceleratorRules); }
constexpr std::array kAcceleratorsRules{Rule{"gpu_execution_accelerator", take_accelerator},
                                        Rule{"cpu_execution_accelerator", take_accelerator}};

// The levels of its ONNX Runtime backend: -1 is basic, 1 extended, everything else all.
constexpr std::array kGraphRules{
    Rule{"level", [](Mapping& to, const ProtoField& field) {
           using Optimize = RuntimeOptions::Optimize;
           auto level = to.integer(field, INT32_MIN, INT32_MAX);
           to.model.runtime.optimize = level == -1 ? Optimize::basic : level == 1 ? Optimize::extended : Optimize::all;
           to.given("optimize");
         }}};
constexpr std::array kOptimizationRules{
    Rule{"graph", [](Mapping& to, const ProtoField& field) { to.each(field, kGraphRules); }},
    Rule{"execution_accelerators", [](Mapping& to, const ProtoField& field) { to.each(field, kAcceleratorsRules); }},
    Rule{"priority", nullptr},
    Rule{"cuda", nullptr},
    Rule{"input_pinned_memory", ignore},
    Rule{"output_pinned_memory", ignore},
    Rule{"gather_kernel_buffer_threshold", nullptr},
    Rule{"eager_batching", nullptr},
};

// --- maps: parameters, tags ---

const ProtoField* part_of(const ProtoField& field, std::string_view name) {
  auto found =
      std::find_if(field.fields.begin(), field.fields.end(), [&](const ProtoField& part) { return part.name == name; });
  return found == field.fields.end() ? nullptr : &*found;
}

void take_parameter(Mapping& to, const ProtoField& field) {
  const ProtoField* key = part_of(field, "key");
  const ProtoField* value = part_of(field, "value");
  const ProtoField* text = value == nullptr ? nullptr : part_of(*value, "string_value");
  if (key == nullptr || text == nullptr) return to.problem(field, "expected { key: ... value: { string_value: ... } }");
  if (key->text == "intra_op_thread_count") {
    // 0 is their word for as many as there are cores.
    if (auto threads = to.integer(*text, 0, 1024); threads > 0) {
      to.model.runtime.threads = static_cast<std::size_t>(threads);
      to.given("threads");
    }
  } else if (key->text == "memory.enable_memory_arena_shrinkage") {
    to.model.runtime.shrink = true;
    to.given("memory");
  } else {
    to.unmapped(fmt::format("parameters.{}", key->text));
  }
}

void take_tag(Mapping& to, const ProtoField& field) {
  const ProtoField* key = part_of(field, "key");
  const ProtoField* value = part_of(field, "value");
  if (key == nullptr || value == nullptr) return to.problem(field, "expected { key: ... value: ... }");
  to.model.residence.tags[key->text] = value->text;
  to.given("tags");
}

// --- warm-up ---

void take_warm_up(Mapping& to, const ProtoField& field) {
  if (field.kind != Kind::message) return to.problem(field, "expected a message: { ... }");
  WarmUpConfig& warm_up = to.model.residence.warm_up;
  std::int64_t rows = 1;
  for (const ProtoField& part : field.fields) {
    if (part.name == "batch_size") {
      rows = std::max<std::int64_t>(to.integer(part, 0, kBatchMax), 1);
    } else if (part.name == "count") {
      auto count = static_cast<std::size_t>(std::max<std::int64_t>(to.integer(part, 0, 1000), 1));
      warm_up.count = std::max(warm_up.count, count);
    } else if (part.name == "inputs") {
      const ProtoField* value = part_of(part, "value");
      bool zeros = value == nullptr || part_of(*value, "zero_data") != nullptr;
      if (!zeros) to.unmapped("model_warmup.inputs", "warm-up runs on zeros");
    } else if (part.name != "name") {
      to.problem(part, "unknown field");
    }
  }
  if (std::find(warm_up.rows.begin(), warm_up.rows.end(), rows) == warm_up.rows.end()) warm_up.rows.push_back(rows);
  to.given("warmup");
}

// --- the model ---

constexpr std::array<std::string_view, 4> kRuntimes{"onnxruntime_onnx", "onnxruntime", "onnx", ""};

void take_runtime(Mapping& to, const ProtoField& field) {
  if (std::find(kRuntimes.begin(), kRuntimes.end(), field.text) == kRuntimes.end())
    to.unmapped(fmt::format("{} {}", field.name, field.text), "the model file decides what runs it");
}

constexpr std::array kModelRules{
    Rule{"name",
         [](Mapping& to, const ProtoField& field) {
           if (field.text != to.model.name)
             to.unmapped(fmt::format("name {}", field.text), "it is served under another");
         }},
    Rule{"platform", take_runtime},
    Rule{"backend", take_runtime},
    Rule{"runtime", nullptr},
    Rule{"version_policy", take_policy},
    Rule{"max_batch_size", take_batch_size},
    Rule{"input", take_input},
    Rule{"output", take_output},
    Rule{"batch_input", nullptr},
    Rule{"batch_output", nullptr},
    Rule{"optimization", [](Mapping& to, const ProtoField& field) { to.each(field, kOptimizationRules); }},
    Rule{"dynamic_batching", take_batching},
    Rule{"sequence_batching", nullptr},
    Rule{"ensemble_scheduling", nullptr},
    Rule{"instance_group", take_instances},
    Rule{"default_model_filename",
         [](Mapping& to, const ProtoField& field) {
           if (field.text != "model.onnx") to.unmapped(fmt::format("default_model_filename {}", field.text));
         }},
    Rule{"cc_model_filenames", nullptr},
    Rule{"metric_tags", take_tag},
    Rule{"parameters", take_parameter},
    Rule{"model_warmup", take_warm_up},
    Rule{"model_operations", nullptr},
    Rule{"model_transaction_policy", nullptr},
    Rule{"model_repository_agents", nullptr},
    Rule{"response_cache", nullptr},
    Rule{"model_metrics", nullptr},
};

Result<ModelConfig> map_model(const std::vector<ProtoField>& fields, const std::string& name, const std::string& file) {
  Mapping to;
  to.model.name = name;
  to.file = file;
  for (const ProtoField& field : fields) {
    // The shapes that follow leave the batch dimension out.
    if (field.name == "max_batch_size") to.batch = to.integer(field, 0, kBatchMax);
  }
  to.problems.clear();  // told again below
  to.read(fields, kModelRules);
  if (to.problems.empty()) return std::move(to.model);
  return fail(Errc::invalid_argument, fmt::format("{}", fmt::join(to.problems, "\n")));
}

}  // namespace

Result<ModelConfig> parse_triton_text(std::string_view text, const std::string& name, const std::string& file) {
  auto fields = parse_proto_text(text, file);
  if (!fields) return std::unexpected(std::move(fields.error()));
  return map_model(*fields, name, file);
}

Result<ModelConfig> parse_triton_json(std::string_view text, const std::string& name, const std::string& file) {
  auto fields = parse_proto_json(text, file, kMapFields);
  if (!fields) return std::unexpected(std::move(fields.error()));
  return map_model(*fields, name, file);
}

bool is_triton_field(std::string_view name) {
  std::string snake;
  for (char byte : name) {
    if (byte >= 'A' && byte <= 'Z') snake += '_';
    snake += byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
  }
  return std::any_of(kModelRules.begin(), kModelRules.end(), [&](const Rule& rule) { return rule.name == snake; });
}

}  // namespace penstock::infer
