#include "infer/isolated_message.h"

#include <cstring>

namespace penstock::infer::isolated {
namespace {

// Items of any list in a message: more never fit a packet.
constexpr std::uint32_t kItemsMax = kMessageMax;
constexpr std::size_t kDetailMax = 2000;

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    text_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    text_ += value;
  }
  template <class List, class Item>
  void list(const List& items, Item item) {
    number(static_cast<std::uint32_t>(items.size()));
    for (const auto& one : items) item(one);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// Reading past the end gives zeros and is remembered.
class Reader {
 public:
  explicit Reader(std::string_view rest) : rest_(rest) {}
  template <class T>
  T number() {
    T value{};
    if (rest_.size() < sizeof(T)) {
      broken_ = true;
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  std::string text() {
    auto size = number<std::uint32_t>();
    if (size > rest_.size()) {
      broken_ = true;
      return {};
    }
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  bool flag() { return below<std::uint8_t>(2) == 1; }
  // A number below `limit`.
  template <class T>
  T below(T limit) {
    T value = number<T>();
    if (value < limit) return value;
    broken_ = true;
    return 0;
  }
  template <class Item>
  auto list(Item item) {
    std::vector<decltype(item())> items;
    auto count = below<std::uint32_t>(kItemsMax);
    while (items.size() < count && !broken_) items.push_back(item());
    return items;
  }
  bool whole() const { return !broken_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool broken_ = false;
};

constexpr auto kDatatypes = static_cast<std::uint8_t>(Datatype::bytes) + 1;
constexpr auto kCodes = static_cast<std::uint8_t>(Errc::protocol_error) + 1;
constexpr auto kLevels = static_cast<std::uint8_t>(RuntimeOptions::Optimize::all) + 1;

void write(Writer& to, const std::vector<std::int64_t>& shape) {
  to.list(shape, [&](std::int64_t extent) { to.number(extent); });
}
std::vector<std::int64_t> read_shape(Reader& from) {
  return from.list([&] { return from.number<std::int64_t>(); });
}
Datatype read_datatype(Reader& from) { return static_cast<Datatype>(from.below<std::uint8_t>(kDatatypes)); }

void write(Writer& to, const std::vector<Place>& places) {
  to.list(places, [&](const Place& place) {
    to.number(static_cast<std::uint8_t>(place.datatype));
    write(to, place.shape);
    to.number(place.offset);
    to.number(place.size);
  });
}
std::vector<Place> read_places(Reader& from) {
  return from.list([&] {
    Place place;
    place.datatype = read_datatype(from);
    place.shape = read_shape(from);
    place.offset = from.number<std::uint64_t>();
    place.size = from.number<std::uint64_t>();
    return place;
  });
}

void write(Writer& to, const std::vector<TensorSpec>& specs) {
  to.list(specs, [&](const TensorSpec& spec) {
    to.text(spec.name);
    to.number(static_cast<std::uint8_t>(spec.datatype));
    write(to, spec.shape);
  });
}
std::vector<TensorSpec> read_specs(Reader& from) {
  return from.list([&] {
    TensorSpec spec;
    spec.name = from.text();
    spec.datatype = read_datatype(from);
    spec.shape = read_shape(from);
    return spec;
  });
}

void write(Writer& to, const LoadOrder& order) {
  to.text(order.runtime);
  to.text(order.path);
  to.list(order.parts, [&](const LoadOrder::Part& part) {
    to.text(part.name);
    to.number(part.size);
  });
  const RuntimeOptions& options = order.options;
  to.list(options.accelerators, [&](const std::string& name) { to.text(name); });
  to.number(static_cast<std::uint64_t>(options.threads));
  to.number(static_cast<std::uint8_t>(options.optimize));
  to.number(options.memory_max);
  to.number(static_cast<std::uint8_t>(options.shrink));
}
void write(Writer& to, const Loaded& loaded) {
  to.text(loaded.info.platform);
  to.text(loaded.info.accelerator);
  to.text(loaded.info.notice);
  write(to, loaded.info.inputs);
  write(to, loaded.info.outputs);
  to.number(loaded.memory);
}
void write(Writer&, const OpenChannel&) {}
void write(Writer& to, const RunOrder& order) {
  write(to, order.inputs);
  to.list(order.outputs, [&](std::uint32_t place) { to.number(place); });
  to.number(static_cast<std::uint8_t>(order.shrink));
}
void write(Writer& to, const RunDone& done) {
  write(to, done.outputs);
  to.number(done.memory);
}
void write(Writer& to, const Refusal& refusal) {
  to.number(static_cast<std::uint8_t>(refusal.error.code));
  to.text(std::string_view(refusal.error.detail).substr(0, kDetailMax));
}

Message read_load_order(Reader& from) {
  LoadOrder order;
  order.runtime = from.text();
  order.path = from.text();
  order.parts = from.list([&] {
    LoadOrder::Part part;
    part.name = from.text();
    part.size = from.number<std::uint64_t>();
    return part;
  });
  order.options.accelerators = from.list([&] { return from.text(); });
  order.options.threads = static_cast<std::size_t>(from.number<std::uint64_t>());
  order.options.optimize = static_cast<RuntimeOptions::Optimize>(from.below<std::uint8_t>(kLevels));
  order.options.memory_max = from.number<std::uint64_t>();
  order.options.shrink = from.flag();
  return order;
}
Message read_loaded(Reader& from) {
  Loaded loaded;
  loaded.info.platform = from.text();
  loaded.info.accelerator = from.text();
  loaded.info.notice = from.text();
  loaded.info.inputs = read_specs(from);
  loaded.info.outputs = read_specs(from);
  loaded.memory = from.number<std::uint64_t>();
  return loaded;
}
Message read_open_channel(Reader&) { return OpenChannel(); }
Message read_run_order(Reader& from) {
  RunOrder order;
  order.inputs = read_places(from);
  order.outputs = from.list([&] { return from.number<std::uint32_t>(); });
  order.shrink = from.flag();
  return order;
}
Message read_run_done(Reader& from) {
  RunDone done;
  done.outputs = read_places(from);
  done.memory = from.number<std::uint64_t>();
  return done;
}
Message read_refusal(Reader& from) {
  Refusal refusal;
  refusal.error.code = static_cast<Errc>(from.below<std::uint8_t>(kCodes));
  refusal.error.detail = from.text().substr(0, kDetailMax);
  // It goes to logs and to callers: one line, nothing that moves a cursor.
  for (char& c : refusal.error.detail) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7F') c = ' ';
  }
  return refusal;
}

using Read = Message (*)(Reader&);
// In the order of Message.
constexpr std::array<Read, std::variant_size_v<Message>> kReaders{read_load_order, read_loaded,   read_open_channel,
                                                                  read_run_order,  read_run_done, read_refusal};

std::unexpected<Error> broken(std::string_view what) {
  return fail(Errc::protocol_error, fmt::format("the model's process sent {}", what));
}

std::size_t stored_size(const Tensor& tensor) {
  if (tensor.datatype != Datatype::bytes) return tensor.bytes.size();
  std::size_t size = 0;
  for (const std::string& element : tensor.strings) size += sizeof(std::uint32_t) + element.size();
  return size;
}

void store(const Tensor& tensor, std::byte* to) {
  if (tensor.datatype != Datatype::bytes) {
    if (tensor.bytes.size() > 0) std::memcpy(to, tensor.bytes.data(), tensor.bytes.size());
    return;
  }
  for (const std::string& element : tensor.strings) {
    auto size = static_cast<std::uint32_t>(element.size());
    std::memcpy(to, &size, sizeof(size));
    std::memcpy(to + sizeof(size), element.data(), element.size());
    to += sizeof(size) + element.size();
  }
}

// `content` is a private copy: nobody changes a length after it was checked.
Result<std::vector<std::string>> read_strings(std::string_view content, std::size_t count) {
  std::vector<std::string> strings;
  Reader reader(content);
  if (count > content.size() / sizeof(std::uint32_t)) return broken("fewer texts than their shape needs");
  for (std::size_t i = 0; i < count; ++i) strings.push_back(reader.text());
  if (!reader.whole()) return broken("texts of other lengths than it says");
  return strings;
}

constexpr std::size_t align(std::size_t size) {
  return (size + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment;
}

}  // namespace

std::string encode(const Message& message) {
  Writer writer;
  writer.number(static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& one) { write(writer, one); }, message);
  return writer.take();
}

Result<Message> decode(std::string_view packet) {
  Reader reader(packet);
  auto kind = reader.number<std::uint8_t>();
  if (kind >= kReaders.size()) return broken("a message of no known kind");
  Message message = kReaders[kind](reader);
  if (!reader.whole()) return broken("a damaged message");
  return message;
}

Result<std::vector<Place>> put(SharedRegion& region, std::span<const Tensor> tensors) {
  std::vector<Place> places;
  places.reserve(tensors.size());
  std::uint64_t end = 0;
  for (const Tensor& tensor : tensors) {
    places.push_back({tensor.datatype, tensor.shape, end, stored_size(tensor)});
    end += align(places.back().size);
  }
  if (auto grown = region.reserve(end); !grown) return std::unexpected(std::move(grown.error()));
  for (std::size_t i = 0; i < tensors.size(); ++i) store(tensors[i], region.bytes().data() + places[i].offset);
  return places;
}

Result<Tensor> take(std::span<std::byte> memory, const Place& place, std::string name, Take how) {
  if (place.offset > memory.size() || place.size > memory.size() - place.offset)
    return broken("a tensor outside the memory both have");
  auto count = element_count(place.shape);
  if (!count) return broken(fmt::format("a tensor of shape {}", format_shape(place.shape)));
  std::byte* data = memory.data() + place.offset;
  Tensor tensor{.name = std::move(name), .datatype = place.datatype, .shape = place.shape, .bytes = {}, .strings = {}};
  if (place.datatype == Datatype::bytes) {
    std::string content(reinterpret_cast<const char*>(data), place.size);
    auto strings = read_strings(content, *count);
    if (!strings) return std::unexpected(std::move(strings.error()));
    tensor.strings = std::move(*strings);
    return tensor;
  }
  std::size_t each = element_bytes(place.datatype);
  if (place.offset % each != 0 || place.size % each != 0 || place.size / each != *count)
    return broken("a tensor of another size than its shape needs");
  if (how == Take::borrow) {
    tensor.bytes = Buffer::borrow(data, place.size);
  } else {
    tensor.bytes = Buffer(place.size);
    tensor.bytes.copy(data);
  }
  return tensor;
}

Result<void> check_places(std::span<const std::byte> memory, std::span<const Place> places) {
  std::uint64_t rest = memory.size();
  std::uint64_t texts = SharedRegion::kMax / sizeof(std::string);
  for (const Place& place : places) {
    if (place.size > rest) return broken("tensors that lie over each other");
    rest -= place.size;
    if (place.datatype != Datatype::bytes) continue;
    auto count = element_count(place.shape);
    if (!count || *count > texts) return broken("more texts than it may");
    texts -= *count;
  }
  return {};
}

}  // namespace penstock::infer::isolated
