#include "infer/oip_proto.h"
#include "infer/oip_proto_wire.h"
#include "infer/raw_tensor.h"

namespace penstock::infer::oip {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;

std::unexpected<Error> wrong(std::string detail) { return fail(Errc::invalid_argument, std::move(detail)); }

// InferParameter: a oneof, so that the last choice counts. Numbers beyond 63 bits as JSON's reader gives them.
std::optional<Parameter> read_choice(pbf_reader choice) {
  std::optional<Parameter> value;
  while (choice.next()) {
    switch (choice.tag_and_type()) {
      case varint_field(1): value = choice.get_uint64() != 0; break;  // get_bool() looks a byte too far
      case varint_field(2): value = choice.get_int64(); break;
      case bytes_field(3): value = std::string(bytes_of(choice)); break;
      case protozero::tag_and_type(4, pbf_wire_type::fixed64): value = choice.get_double(); break;
      case varint_field(5): {
        std::uint64_t number = choice.get_uint64();
        if (number <= INT64_MAX) {
          value = static_cast<std::int64_t>(number);
        } else {
          value = static_cast<double>(number);
        }
        break;
      }
      default: choice.skip();
    }
  }
  return value;
}

// Hands a map's entry to `set` when it has a value.
template <class Set>
Result<void> apply_parameter(pbf_reader entry, Set set) {
  auto parameter = read_parameter(entry);
  if (!parameter) return std::unexpected(parameter.error());
  if (!parameter->value) return {};
  return set(parameter->name, *parameter->value);
}

// repeated int64, packed or one by one.
Result<void> read_dimensions(pbf_reader& field, std::vector<std::int64_t>& shape) {
  auto add = [&](std::uint64_t wire) -> Result<void> {
    auto extent = static_cast<std::int64_t>(wire);
    if (extent < 0) return wrong(fmt::format("a dimension is negative: {}", extent));
    if (shape.size() == kRankMax) return wrong(fmt::format("more than {} dimensions", kRankMax));
    shape.push_back(extent);
    return {};
  };
  if (field.wire_type() == pbf_wire_type::varint) return add(field.get_uint64());
  std::string_view packed = bytes_of(field);
  const char* at = packed.data();
  const char* end = at + packed.size();
  while (at != end) {
    if (auto added = add(protozero::decode_varint(&at, end)); !added) return added;
  }
  return {};
}

// Of a message's field that is no list: writers send one.
constexpr std::size_t kPartsMax = 256;

// One ModelInferRequest, taken apart.
class RequestMessage {
 public:
  RequestMessage(InferCall& call, std::string_view sticky) : call_(call), sticky_(sticky) {}
  Result<void> read(pbf_reader message);

 private:
  struct Input {
    Tensor tensor;
    std::string_view datatype;
    std::vector<std::string_view> contents;  // without the empty ones
  };
  Result<void> read_input(pbf_reader message);
  Result<void> read_input_field(pbf_reader& field, Input& input);
  Result<void> read_output(pbf_reader message);
  Result<void> fill_all();
  Result<void> fill(std::size_t i);
  Result<void> set_text(pbf_reader& field, std::string_view what, std::string& to);

  InferCall& call_;
  const std::string_view sticky_;
  std::vector<std::vector<std::string_view>> contents_;  // per input
  std::vector<std::string_view> raw_;
  std::size_t tensor_bytes_ = 0;
};

Result<void> RequestMessage::set_text(pbf_reader& field, std::string_view what, std::string& to) {
  auto text = text_of(field, what);
  if (!text) return std::unexpected(text.error());
  to = *text;
  return {};
}

Result<void> RequestMessage::read(pbf_reader message) {
  while (message.next()) {
    Result<void> done;
    switch (message.tag_and_type()) {
      case bytes_field(1): done = set_text(message, "model_name", call_.request.model); break;
      case bytes_field(2): done = set_text(message, "model_version", call_.request.version); break;
      case bytes_field(3): done = set_text(message, "id", call_.id.emplace()); break;
      case bytes_field(4):
        done = apply_parameter(message.get_message(), [&](std::string_view name, const Parameter& value) {
          return set_request_parameter(call_, sticky_, name, value);
        });
        break;
      case bytes_field(5): done = read_input(message.get_message()); break;
      case bytes_field(6): done = read_output(message.get_message()); break;
      case bytes_field(7):
        if (raw_.size() == kTensorsMax) {
          done = wrong(fmt::format("more than {} entries of raw_input_contents", kTensorsMax));
        } else {
          raw_.push_back(bytes_of(message));
        }
        break;
      default: message.skip();
    }
    if (!done) return done;
  }
  return fill_all();
}

Result<void> RequestMessage::read_input_field(pbf_reader& field, Input& input) {
  switch (field.tag_and_type()) {
    case bytes_field(1): return set_text(field, "its name", input.tensor.name);
    case bytes_field(2): input.datatype = bytes_of(field); return {};
    case bytes_field(3):
    case varint_field(3): return read_dimensions(field, input.tensor.shape);
    case bytes_field(4):
      return apply_parameter(field.get_message(), [](std::string_view name, const Parameter& value) {
        std::optional<std::uint64_t> size;  // of HTTP's binary extension: means nothing here
        return set_input_parameter(size, name, value);
      });
    case bytes_field(5):
      if (std::string_view part = bytes_of(field); !part.empty()) {
        if (input.contents.size() == kPartsMax)
          return wrong(fmt::format("its contents have more than {} parts", kPartsMax));
        input.contents.push_back(part);
      }
      return {};
    default: field.skip(); return {};
  }
}

Result<void> RequestMessage::read_input(pbf_reader message) {
  if (contents_.size() == kTensorsMax) return wrong(fmt::format("more than {} inputs", kTensorsMax));
  Input input;
  Result<void> read;
  while (read && message.next()) read = read_input_field(message, input);
  auto datatype = parse_datatype(input.datatype);
  if (read && input.datatype.empty()) read = wrong("'datatype' is missing");
  if (read && !datatype) {
    read =
        wrong(fmt::format("unknown datatype '{}'; known are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64, "
                          "BF16 and BYTES",
                          input.datatype.substr(0, 50)));
  }
  if (!read) {
    const std::string& name = input.tensor.name;
    return wrong(
        fmt::format("inputs[{}]{}: {}", contents_.size(), name.empty() ? "" : " '" + name + "'", read.error().detail));
  }
  input.tensor.datatype = *datatype;
  call_.request.inputs.push_back(std::move(input.tensor));
  contents_.push_back(std::move(input.contents));
  return {};
}

Result<void> RequestMessage::read_output(pbf_reader message) {
  if (call_.classes.size() == kTensorsMax) return wrong(fmt::format("more than {} outputs", kTensorsMax));
  std::string name;
  OutputWish wish;
  while (message.next()) {
    Result<void> done;
    switch (message.tag_and_type()) {
      case bytes_field(1): done = set_text(message, "an output's name", name); break;
      case bytes_field(2):
        done = apply_parameter(message.get_message(), [&](std::string_view key, const Parameter& value) {
          return set_output_parameter(wish, key, value);
        });
        break;
      default: message.skip();
    }
    if (!done) return wrong(fmt::format("outputs[{}] '{}': {}", call_.classes.size(), name, done.error().detail));
  }
  call_.request.outputs.push_back(std::move(name));
  call_.classes.push_back(wish.classes);
  return {};
}

Result<void> RequestMessage::fill_all() {
  bool typed = std::any_of(contents_.begin(), contents_.end(), [](const auto& parts) { return !parts.empty(); });
  if (!raw_.empty() && typed)
    return wrong("some tensors are in raw_input_contents and some in typed contents: use one of the two for all");
  if (!raw_.empty() && raw_.size() != contents_.size()) {
    return wrong(fmt::format("{} inputs, but raw_input_contents has {} entries: one for each is expected",
                             contents_.size(), raw_.size()));
  }
  for (std::size_t i = 0; i < contents_.size(); ++i) {
    if (auto filled = fill(i); !filled) {
      return fail(filled.error().code,
                  fmt::format("input '{}': {}", call_.request.inputs[i].name, filled.error().detail));
    }
  }
  return {};
}

Result<void> RequestMessage::fill(std::size_t i) {
  Tensor& tensor = call_.request.inputs[i];
  auto count = element_count(tensor.shape);
  if (!count) return wrong(count.error().detail);
  std::size_t size = tensor.datatype == Datatype::bytes ? sizeof(std::string) : element_bytes(tensor.datatype);
  if (*count > (kTensorBytesMax - tensor_bytes_) / size)
    return fail(Errc::out_of_range, fmt::format("more than {} bytes of tensors", kTensorBytesMax));
  tensor_bytes_ += *count * size;
  return raw_.empty() ? fill_contents(tensor, contents_[i]) : fill_raw(tensor, raw_[i]);
}

}  // namespace

Result<NamedParameter> read_parameter(pbf_reader entry) {
  NamedParameter parameter;
  while (entry.next()) {
    switch (entry.tag_and_type()) {
      case bytes_field(1): {
        auto name = text_of(entry, "a parameter's name");
        if (!name) return std::unexpected(name.error());
        parameter.name = *name;
        break;
      }
      case bytes_field(2): parameter.value = read_choice(entry.get_message()); break;
      default: entry.skip();
    }
  }
  return parameter;
}

Result<InferTopic> peek_infer_message(std::string_view message) {
  return read_message([&]() -> Result<InferTopic> {
    InferTopic topic;
    pbf_reader field(message.data(), message.size());
    while (field.next()) {
      auto take = [&](std::string_view what, std::string_view& to) -> Result<void> {
        auto text = text_of(field, what);
        if (!text) return std::unexpected(text.error());
        to = *text;
        return {};
      };
      Result<void> done;
      switch (field.tag_and_type()) {
        case bytes_field(1): done = take("model_name", topic.model); break;
        case bytes_field(2): done = take("model_version", topic.version); break;
        case bytes_field(3): done = take("id", topic.id); break;
        default: field.skip();
      }
      if (!done) return std::unexpected(done.error());
    }
    return topic;
  });
}

Result<InferCall> parse_infer_message(std::string_view message, std::string_view sticky) {
  return read_message([&]() -> Result<InferCall> {
    InferCall call;
    RequestMessage reader(call, sticky);
    if (auto read = reader.read(pbf_reader(message.data(), message.size())); !read)
      return std::unexpected(read.error());
    return call;
  });
}

}  // namespace penstock::infer::oip
