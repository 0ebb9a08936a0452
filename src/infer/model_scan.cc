#include "infer/model_scan.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <protozero/pbf_reader.hpp>
#include <set>

#include "artifact/claims.h"

namespace penstock::infer {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;

// What ends a scan; caught in scan_model().
struct Refusal {
  Errc code;
  std::string detail;
};

constexpr std::uint32_t field(std::uint32_t number, pbf_wire_type type) {
  return protozero::tag_and_type(number, type);
}
constexpr std::uint32_t bytes_field(std::uint32_t number) { return field(number, pbf_wire_type::length_delimited); }
constexpr std::uint32_t number_field(std::uint32_t number) { return field(number, pbf_wire_type::varint); }

// A name from the file in a message: short, and without what a terminal or a log would take for its own.
std::string shown(std::string_view name) {
  constexpr std::size_t kShown = 80;
  std::string text(name.substr(0, kShown));
  for (char& letter : text) {
    if (static_cast<unsigned char>(letter) < 0x20 || static_cast<unsigned char>(letter) >= 0x7F) letter = '?';
  }
  return name.size() > kShown ? text + "..." : text;
}

std::string_view text_of(pbf_reader& message) {
  auto view = message.get_view();
  return {view.data(), view.size()};
}

[[noreturn]] void refuse(Errc code, std::string detail) { throw Refusal{code, std::move(detail)}; }

// Domains whose operators ONNX Runtime brings along.
constexpr std::array<std::string_view, 9> kKnownDomains{"",
                                                        "ai.onnx",
                                                        "ai.onnx.ml",
                                                        "ai.onnx.training",
                                                        "ai.onnx.preview.training",
                                                        "com.microsoft",
                                                        "com.microsoft.nchwc",
                                                        "com.ms.internal.nhwc",
                                                        "org.pytorch.aten"};

// Bits of one element by TensorProto.DataType; 0: none that is known, or a string.
constexpr std::array<std::uint8_t, 24> kElementBits{0,  32, 8,  8,   16, 16, 32, 64, 0, 8, 16, 64,
                                                    32, 64, 64, 128, 16, 8,  8,  8,  8, 4, 4,  4};
constexpr std::int64_t kStringType = 8;

// One TensorProto, as far as it matters here.
struct Tensor {
  std::string_view name;
  std::vector<std::int64_t> dims;
  std::int64_t type = 0;
  std::uint64_t raw_bytes = 0;
  bool raw = false;
  std::uint64_t typed_bytes = 0;  // of the fields that hold numbers one by one
  std::uint64_t strings = 0;
  bool external = false;
  std::vector<std::int64_t> values;  // the first of a small INT64 tensor: maybe somebody's shape
};

class Scan {
 public:
  explicit Scan(const ScanLimits& limits, std::size_t size) : limits_(limits), size_(size) {}
  ModelOutline run(std::string_view bytes);

 private:
  // The names a graph gives to small whole-number tensors, and who wants one for a shape.
  struct Shapes {
    std::map<std::string_view, std::vector<std::int64_t>> known;
    std::vector<std::pair<std::string_view, std::string_view>> wanted;  // tensor, operator
  };
  struct Node {
    std::vector<std::string_view> inputs;
    std::string_view output;
    std::string_view operation;
    std::string_view domain;
    std::string_view name;
    std::vector<std::int64_t> value;  // of a Constant
  };

  void read_model(pbf_reader model);
  void read_functions(pbf_reader model);
  void read_function(pbf_reader function);
  void read_graph(pbf_reader graph, std::size_t depth);
  Node read_node(pbf_reader node, std::size_t depth, Shapes& shapes);
  void note_node(const Node& node, Shapes& shapes);
  std::vector<std::int64_t> read_attribute(pbf_reader attribute, std::size_t depth);
  void read_sparse(pbf_reader sparse);
  Tensor read_tensor(pbf_reader tensor);
  void read_type(pbf_reader type, std::size_t depth);
  std::string_view read_value(pbf_reader value);
  void check_ends(std::vector<std::string_view> inputs, std::vector<std::string_view> initializers) const;
  void read_external(pbf_reader entry, ExternalData& external);
  void check_tensor(const Tensor& tensor);
  void check_shapes(const Shapes& shapes) const;
  OperatorSet read_operator_set(pbf_reader entry) const;
  static void count(std::size_t& counter, std::size_t most, std::string_view what);
  void once(bool& seen, std::string_view what) const;
  void deeper(std::size_t depth) const;

  const ScanLimits& limits_;
  const std::size_t size_;
  ModelOutline outline_;
  std::size_t attributes_ = 0;
  std::set<std::pair<std::string_view, std::string_view>> functions_;  // domain and name
};

void Scan::count(std::size_t& counter, std::size_t most, std::string_view what) {
  if (++counter > most) refuse(Errc::out_of_range, fmt::format("it has more than {} {}", most, what));
}

// A message given twice is merged by some readers and replaced by others.
void Scan::once(bool& seen, std::string_view what) const {
  if (std::exchange(seen, true)) refuse(Errc::data_loss, fmt::format("{} is given twice", what));
}

void Scan::deeper(std::size_t depth) const {
  if (depth > limits_.depth_max)
    refuse(Errc::out_of_range,
           fmt::format("graphs or types stand in one another more than {} deep", limits_.depth_max));
}

ModelOutline Scan::run(std::string_view bytes) {
  pbf_reader model(bytes.data(), bytes.size());
  read_functions(model);
  read_model(model);
  return std::move(outline_);
}

// Operators that the model defines itself: before the nodes that use them, wherever they stand.
void Scan::read_functions(pbf_reader model) {
  while (model.next(25, pbf_wire_type::length_delimited)) {
    pbf_reader function = model.get_message();
    std::pair<std::string_view, std::string_view> id;
    while (function.next()) {
      switch (function.tag_and_type()) {
        case bytes_field(1): id.second = text_of(function); break;
        case bytes_field(10): id.first = text_of(function); break;
        default: function.skip();
      }
    }
    functions_.insert(id);
  }
}

OperatorSet Scan::read_operator_set(pbf_reader entry) const {
  OperatorSet set;
  while (entry.next()) {
    switch (entry.tag_and_type()) {
      case bytes_field(1): set.domain = shown(text_of(entry)); break;
      case number_field(2): set.version = entry.get_int64(); break;
      default: entry.skip();
    }
  }
  if (set.domain == "ai.onnx") set.domain.clear();
  return set;
}

void Scan::read_model(pbf_reader model) {
  bool graph = false;
  while (model.next()) {
    switch (model.tag_and_type()) {
      case number_field(1): outline_.ir_version = model.get_int64(); break;
      case bytes_field(2): outline_.producer = shown(text_of(model)); break;
      case bytes_field(7):
        once(graph, "the graph");
        read_graph(model.get_message(), 1);
        break;
      case bytes_field(8): outline_.operator_sets.push_back(read_operator_set(model.get_message())); break;
      case bytes_field(20): refuse(Errc::unimplemented, "it carries steps of a training: export it for inference");
      case bytes_field(25): read_function(model.get_message()); break;
      default: model.skip();
    }
  }
  if (!graph || outline_.ir_version < 1) refuse(Errc::data_loss, "it has no graph or no version of the format");
}

void Scan::read_function(pbf_reader function) {
  Shapes shapes;
  while (function.next()) {
    switch (function.tag_and_type()) {
      case bytes_field(7): note_node(read_node(function.get_message(), 1, shapes), shapes); break;
      default: function.skip();
    }
  }
  check_shapes(shapes);
}

void Scan::read_graph(pbf_reader graph, std::size_t depth) {
  deeper(depth);
  Shapes shapes;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> initializers;
  std::size_t outputs = 0;
  while (graph.next()) {
    switch (graph.tag_and_type()) {
      case bytes_field(1): note_node(read_node(graph.get_message(), depth, shapes), shapes); break;
      case bytes_field(5): {
        Tensor tensor = read_tensor(graph.get_message());
        initializers.push_back(tensor.name);
        if (!tensor.values.empty()) shapes.known[tensor.name] = std::move(tensor.values);
        break;
      }
      case bytes_field(11):
        if (inputs.size() == limits_.tensors_max + limits_.ends_max)
          refuse(Errc::out_of_range, "it has too many inputs");
        inputs.push_back(read_value(graph.get_message()));
        break;
      case bytes_field(12):
        count(outputs, limits_.ends_max, "outputs");
        read_value(graph.get_message());
        break;
      case bytes_field(13): read_value(graph.get_message()); break;
      case bytes_field(15): read_sparse(graph.get_message()); break;
      default: graph.skip();
    }
  }
  check_shapes(shapes);
  check_ends(std::move(inputs), std::move(initializers));
}

// Old files list their weights among the inputs.
void Scan::check_ends(std::vector<std::string_view> inputs, std::vector<std::string_view> initializers) const {
  if (inputs.size() <= limits_.ends_max) return;
  std::sort(initializers.begin(), initializers.end());
  std::size_t open = 0;
  for (std::string_view name : inputs) {
    if (!std::binary_search(initializers.begin(), initializers.end(), name)) count(open, limits_.ends_max, "inputs");
  }
}

Scan::Node Scan::read_node(pbf_reader message, std::size_t depth, Shapes&) {
  count(outline_.nodes, limits_.nodes_max, "nodes");
  Node node;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case bytes_field(1): node.inputs.push_back(text_of(message)); break;
      case bytes_field(2): node.output = text_of(message); break;
      case bytes_field(3): node.name = text_of(message); break;
      case bytes_field(4): node.operation = text_of(message); break;
      case bytes_field(5): {
        count(attributes_, limits_.attributes_max, "attributes");
        auto value = read_attribute(message.get_message(), depth);
        if (!value.empty()) node.value = std::move(value);
        break;
      }
      case bytes_field(7): node.domain = text_of(message); break;
      default: message.skip();
    }
  }
  bool known = std::find(kKnownDomains.begin(), kKnownDomains.end(), node.domain) != kKnownDomains.end() ||
               functions_.contains({node.domain, node.operation});
  if (!known) {
    refuse(Errc::unimplemented,
           fmt::format("it needs the operator '{}' of the domain '{}' (node '{}'), which the runtime does not have; "
                       "export the model with standard operators",
                       shown(node.operation), shown(node.domain), shown(node.name)));
  }
  return node;
}

// Tensors that a node makes of nothing but a shape are made while the model loads.
void Scan::note_node(const Node& node, Shapes& shapes) {
  if (node.operation == "Constant" && !node.value.empty()) shapes.known[node.output] = node.value;
  if (node.operation == "ConstantOfShape" && !node.inputs.empty())
    shapes.wanted.emplace_back(node.inputs.front(), node.operation);
  if (node.operation == "Expand" && node.inputs.size() > 1) shapes.wanted.emplace_back(node.inputs[1], node.operation);
}

void Scan::check_shapes(const Shapes& shapes) const {
  for (const auto& [name, operation] : shapes.wanted) {
    auto known = shapes.known.find(name);
    if (known == shapes.known.end()) continue;
    std::uint64_t bytes = 1;
    for (std::int64_t dim : known->second) {
      if (dim <= 0) bytes = 0;
      if (bytes != 0 && __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes)) bytes = UINT64_MAX / 2;
    }
    if (bytes > limits_.made_bytes_max) {
      refuse(Errc::out_of_range, fmt::format("{} makes a tensor of more than {} MiB of a shape in the file", operation,
                                             limits_.made_bytes_max >> 20U));
    }
  }
}

// The values of a small tensor in it, for Constant.
std::vector<std::int64_t> Scan::read_attribute(pbf_reader attribute, std::size_t depth) {
  std::vector<std::int64_t> values;
  bool tensor = false;
  bool graph = false;
  bool sparse = false;
  while (attribute.next()) {
    switch (attribute.tag_and_type()) {
      case bytes_field(5):
        once(tensor, "a tensor in an attribute");
        values = read_tensor(attribute.get_message()).values;
        break;
      case bytes_field(6):
        once(graph, "a graph in an attribute");
        read_graph(attribute.get_message(), depth + 1);
        break;
      case bytes_field(10): read_tensor(attribute.get_message()); break;
      case bytes_field(11): read_graph(attribute.get_message(), depth + 1); break;
      case bytes_field(14):
      case bytes_field(15): read_type(attribute.get_message(), 1); break;
      case bytes_field(22):
        once(sparse, "a sparse tensor in an attribute");
        read_sparse(attribute.get_message());
        break;
      case bytes_field(23): read_sparse(attribute.get_message()); break;
      default: attribute.skip();
    }
  }
  return values;
}

void Scan::read_sparse(pbf_reader sparse) {
  bool values = false;
  bool indices = false;
  Tensor dense;
  while (sparse.next()) {
    switch (sparse.tag_and_type()) {
      case bytes_field(1): {
        once(values, "the values of a sparse tensor");
        Tensor read = read_tensor(sparse.get_message());
        dense.name = read.name;
        dense.type = read.type;
        break;
      }
      case bytes_field(2):
        once(indices, "the indices of a sparse tensor");
        read_tensor(sparse.get_message());
        break;
      case number_field(3): dense.dims.push_back(sparse.get_int64()); break;
      case bytes_field(3):
        for (std::int64_t dim : sparse.get_packed_int64()) dense.dims.push_back(dim);
        break;
      default: sparse.skip();
    }
    if (dense.dims.size() > limits_.rank_max) break;
  }
  // It is made dense when the model loads.
  std::uint64_t elements = 1;
  for (std::int64_t dim : dense.dims) {
    if (dim < 0 || __builtin_mul_overflow(elements, static_cast<std::uint64_t>(dim), &elements))
      refuse(Errc::data_loss, fmt::format("the sparse tensor '{}' has dimensions that cannot be", shown(dense.name)));
  }
  if (dense.dims.size() > limits_.rank_max || elements > limits_.made_bytes_max / 8)
    refuse(Errc::out_of_range, fmt::format("the sparse tensor '{}' is too large", shown(dense.name)));
}

void Scan::read_external(pbf_reader entry, ExternalData& external) {
  std::string_view key;
  std::string_view value;
  while (entry.next()) {
    switch (entry.tag_and_type()) {
      case bytes_field(1): key = text_of(entry); break;
      case bytes_field(2): value = text_of(entry); break;
      default: entry.skip();
    }
  }
  auto whole = [&](std::uint64_t& number) {
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || value.empty() || number > INT64_MAX)
      refuse(Errc::data_loss, fmt::format("'{}' is no place in a file", shown(value)));
  };
  if (key == "location") external.location = value;
  if (key == "offset") whole(external.offset);
  if (key == "length") whole(external.length);
}

Tensor Scan::read_tensor(pbf_reader message) {
  count(outline_.tensors, limits_.tensors_max, "tensors");
  constexpr std::size_t kShapeValues = 32;
  Tensor tensor;
  ExternalData external;
  bool lists = false;
  std::string_view raw;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case number_field(1): tensor.dims.push_back(message.get_int64()); break;
      case bytes_field(1):
        for (std::int64_t dim : message.get_packed_int64()) {
          tensor.dims.push_back(dim);
          if (tensor.dims.size() > limits_.rank_max) break;
        }
        break;
      case number_field(2): tensor.type = message.get_int32(); break;
      case bytes_field(3): refuse(Errc::unimplemented, "it has a tensor in segments");
      case bytes_field(6):
        ++tensor.strings;
        message.skip();
        break;
      case bytes_field(7): {
        auto values = message.get_packed_int64();
        tensor.typed_bytes += values.size() == 0 ? 0 : static_cast<std::uint64_t>(values.size());
        for (std::int64_t value : values) {
          if (tensor.values.size() == kShapeValues) break;
          tensor.values.push_back(value);
        }
        break;
      }
      case number_field(7):
        ++tensor.typed_bytes;
        if (std::int64_t value = message.get_int64(); tensor.values.size() < kShapeValues)
          tensor.values.push_back(value);
        break;
      case bytes_field(4):
      case bytes_field(5):
      case bytes_field(10):
      case bytes_field(11): tensor.typed_bytes += text_of(message).size(); break;
      case field(4, pbf_wire_type::fixed32):
      case field(10, pbf_wire_type::fixed64):
      case number_field(5):
      case number_field(11):
        ++tensor.typed_bytes;
        message.skip();
        break;
      case bytes_field(8): tensor.name = text_of(message); break;
      case bytes_field(9):
        raw = text_of(message);
        tensor.raw = true;
        tensor.raw_bytes = raw.size();
        break;
      case bytes_field(13):
        lists = true;
        read_external(message.get_message(), external);
        break;
      case number_field(14): tensor.external = message.get_int32() == 1; break;
      default: message.skip();
    }
    if (tensor.dims.size() > limits_.rank_max)
      refuse(Errc::out_of_range,
             fmt::format("the tensor '{}' has more than {} dimensions", shown(tensor.name), limits_.rank_max));
  }
  if (tensor.type == 7 && tensor.values.empty() && raw.size() <= kShapeValues * sizeof(std::int64_t)) {
    tensor.values.resize(raw.size() / sizeof(std::int64_t));
    if (!tensor.values.empty())
      std::memcpy(tensor.values.data(), raw.data(), tensor.values.size() * sizeof(std::int64_t));
  }
  if (tensor.external || (lists && !tensor.raw)) {
    tensor.external = true;
    if (!artifact::is_plain_path(external.location)) {
      refuse(Errc::permission_denied, fmt::format("the weights of '{}' are in '{}', which is not in the model's folder",
                                                  shown(tensor.name), shown(external.location)));
    }
    external.tensor = shown(tensor.name);
    outline_.external.push_back(std::move(external));
  }
  check_tensor(tensor);
  return tensor;
}

void Scan::check_tensor(const Tensor& tensor) {
  auto name = [&] { return shown(tensor.name); };
  std::uint64_t elements = 1;
  for (std::int64_t dim : tensor.dims) {
    if (dim < 0) refuse(Errc::data_loss, fmt::format("the tensor '{}' has a negative dimension", name()));
    if (__builtin_mul_overflow(elements, static_cast<std::uint64_t>(dim), &elements))
      refuse(Errc::out_of_range, fmt::format("the dimensions of the tensor '{}' overflow", name()));
  }
  auto bits =
      static_cast<std::uint64_t>(tensor.type >= 0 && tensor.type < static_cast<std::int64_t>(kElementBits.size())
                                     ? kElementBits[static_cast<std::size_t>(tensor.type)]
                                     : 0);
  if (elements > (std::uint64_t{1} << 56))
    refuse(Errc::out_of_range, fmt::format("the tensor '{}' is too large", name()));
  if (tensor.external) {
    const ExternalData& where = outline_.external.back();
    if (bits != 0 && where.length != 0 && where.length < (elements * bits + 7) / 8)
      refuse(Errc::data_loss,
             fmt::format("the tensor '{}' is larger than its part of '{}'", name(), shown(where.location)));
    return;
  }
  // Numbers one by one take a byte at least, two of four bits included; so do strings.
  bool fits = tensor.type == kStringType ? elements <= tensor.strings
              : tensor.raw               ? bits == 0 || tensor.raw_bytes >= (elements * bits + 7) / 8
                                         : elements <= 2 * tensor.typed_bytes;
  if (!fits) {
    refuse(Errc::data_loss, fmt::format("the tensor '{}' of {} elements has fewer values than that in this file of {} "
                                        "bytes: it is damaged, or cut",
                                        name(), elements, size_));
  }
}

// Its name.
std::string_view Scan::read_value(pbf_reader value) {
  std::string_view name;
  while (value.next()) {
    switch (value.tag_and_type()) {
      case bytes_field(1): name = text_of(value); break;
      case bytes_field(2): read_type(value.get_message(), 1); break;
      default: value.skip();
    }
  }
  return name;
}

// TypeProto: sequences, maps and optionals hold types again. Their messages have the inner type in field 1 or 2.
void Scan::read_type(pbf_reader type, std::size_t depth) {
  deeper(depth);
  while (type.next()) {
    switch (type.tag_and_type()) {
      case bytes_field(4):
      case bytes_field(5):
      case bytes_field(9): {
        bool map = type.tag() == 5;
        pbf_reader holder = type.get_message();
        while (holder.next()) {
          if (holder.tag_and_type() == bytes_field(map ? 2 : 1)) {
            read_type(holder.get_message(), depth + 1);
          } else {
            holder.skip();
          }
        }
        break;
      }
      default: type.skip();
    }
  }
}

}  // namespace

Result<ModelOutline> scan_model(std::string_view bytes, const ScanLimits& limits) {
  if (bytes.empty()) return fail(Errc::data_loss, "the file is empty");
  // Protobuf's own bound: no runtime reads more.
  if (bytes.size() > INT32_MAX) {
    return fail(Errc::out_of_range,
                "an ONNX file cannot be larger than 2 GiB; save its weights as external data beside it");
  }
  try {
    return Scan(limits, bytes.size()).run(bytes);
  } catch (const Refusal& refusal) {
    return fail(refusal.code, refusal.detail);
  } catch (const protozero::exception& exception) {
    return fail(Errc::data_loss, fmt::format("it is no ONNX file, or it is damaged or cut ({})", exception.what()));
  }
}

}  // namespace penstock::infer
