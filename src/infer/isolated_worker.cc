#include "infer/isolated_worker.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <list>
#include <thread>

#include "infer/isolated_message.h"

namespace penstock::infer::isolated {
namespace {

// Beside the model: stacks of threads, the names and shapes of messages, and what the library keeps for itself.
constexpr std::uint64_t kOwnMemory = 96 << 20;

// One caller at a time has it. Its thread runs what comes; the control thread stops the run.
class Channel {
 public:
  Channel(const Model& model, Descriptor socket, SharedRegion region, Descriptor stop)
      : model_(model), socket_(std::move(socket)), region_(std::move(region)), stop_(std::move(stop)) {
    thread_ = std::thread([this] { serve(); });
    thread_.detach();
  }

  int stop_fd() const { return stop_.get(); }
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  void stop_run() {
    std::uint64_t count = 0;
    if (::read(stop_.get(), &count, sizeof(count)) < 0) return;
    std::lock_guard lock(mutex_);
    source_.request_stop();
  }

 private:
  void serve() {
    while (true) {
      auto packet = receive(socket_.get());
      if (!packet) break;
      if (!isolated::send(socket_.get(), encode(answer(packet->text)))) break;
    }
    ended_.store(true, std::memory_order_release);
  }

  Message answer(std::string_view text) {
    auto message = decode(text);
    const RunOrder* order = message ? std::get_if<RunOrder>(&*message) : nullptr;
    if (order == nullptr) return Refusal{{Errc::protocol_error, "the model's process expected an order to run", {}}};
    auto done = run(*order);
    if (!done) return Refusal{std::move(done.error())};
    return std::move(*done);
  }

  Result<RunDone> run(const RunOrder& order) {
    const ModelInfo& info = model_.info();
    if (auto seen = region_.follow(); !seen) return std::unexpected(std::move(seen.error()));
    if (order.inputs.size() != info.inputs.size())
      return fail(Errc::protocol_error, "another number of inputs than the model has");
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < order.inputs.size(); ++i) {
      auto input = take(region_.bytes(), order.inputs[i], info.inputs[i].name, Take::borrow);
      if (!input) return std::unexpected(std::move(input.error()));
      inputs.push_back(std::move(*input));
    }
    std::vector<std::size_t> outputs(order.outputs.begin(), order.outputs.end());
    for (std::size_t place : outputs) {
      if (place >= info.outputs.size()) return fail(Errc::protocol_error, "an output that the model has not");
    }
    auto results = model_.run(inputs, outputs, {.stop = token(), .shrink = order.shrink});
    if (!results) return std::unexpected(std::move(results.error()));
    auto places = put(region_, *results);
    if (!places) return std::unexpected(std::move(places.error()));
    return RunDone{.outputs = std::move(*places), .memory = model_.memory_bytes()};
  }

  std::stop_token token() {
    std::lock_guard lock(mutex_);
    return source_.get_token();
  }

  const Model& model_;
  Descriptor socket_;
  SharedRegion region_;
  Descriptor stop_;
  std::mutex mutex_;
  std::stop_source source_;  // once stopped, the gateway does not use the channel again
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

std::uint64_t data_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0, shared = 0, text = 0, library = 0, data = 0;
  statm >> size >> resident >> shared >> text >> library >> data;
  return data * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// The memory for tensors is as large as the model's own, at most.
std::uint64_t region_max(std::uint64_t memory_max) {
  if (memory_max == 0) return SharedRegion::kMax;
  return std::clamp(memory_max, SharedRegion::kLeast, SharedRegion::kMax);
}

void set_limits(std::uint64_t memory_max) {
  auto limit = [](__rlimit_resource what, std::uint64_t most) {
    rlimit both{most, most};
    ::setrlimit(what, &both);
  };
  limit(RLIMIT_CORE, 0);
  // What it shares with the gateway does not count as its data.
  limit(RLIMIT_FSIZE, region_max(memory_max));
  limit(RLIMIT_NOFILE, 512);
  if (memory_max != 0) limit(RLIMIT_DATA, data_bytes() + memory_max + kOwnMemory);
}

Result<std::shared_ptr<const std::string>> read_part(int file, std::uint64_t from, std::uint64_t size) {
  auto bytes = std::make_shared<std::string>();
  bytes->resize(size);
  for (std::uint64_t at = 0; at < size;) {
    ssize_t got = ::pread(file, bytes->data() + at, size - at, static_cast<off_t>(from + at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(Errc::protocol_error, "less of the model came than was said");
    at += static_cast<std::uint64_t>(got);
  }
  return bytes;
}

// What came with the order.
Result<ModelFile> read_given(const LoadOrder& order, const std::vector<Descriptor>& descriptors) {
  if (descriptors.empty()) return fail(Errc::protocol_error, "no model came with the order");
  ModelFile file{.path = order.path, .bytes = nullptr};
  std::uint64_t from = 0;
  for (const LoadOrder::Part& part : order.parts) {
    auto bytes = read_part(descriptors[0].get(), from, part.size);
    if (!bytes) return std::unexpected(std::move(bytes.error()));
    (file.bytes ? file.beside[part.name] : file.bytes) = std::move(*bytes);
    from += part.size;
  }
  return file;
}

// The file on disk, for when no file can be opened later.
Result<std::shared_ptr<const std::string>> read_model(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Errc::not_found, fmt::format("{}: cannot be read", path));
  return std::make_shared<const std::string>(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

Result<std::shared_ptr<const Model>> load(const LoadOrder& order, std::vector<Descriptor> descriptors,
                                          const base::Registry& registry, const Confine& confine) {
  const RuntimeFactory* factory = registry.find<RuntimeFactory>(order.runtime);
  if (factory == nullptr) return fail(Errc::unimplemented, fmt::format("no runtime '{}'", order.runtime));
  factory->describe();  // opens its library, which no file can be read for later
  // Whatever may be needed is read before the model is looked at.
  ModelFile file{.path = order.path, .bytes = nullptr};
  std::shared_ptr<const std::string> on_disk;
  if (order.parts.empty()) {
    auto read = read_model(order.path);
    if (!read) return std::unexpected(std::move(read.error()));
    on_disk = std::move(*read);
  } else {
    auto given = read_given(order, descriptors);
    if (!given) return std::unexpected(std::move(given.error()));
    file = std::move(*given);
  }
  descriptors.clear();
  set_limits(order.options.memory_max);
  auto confined = confine(std::filesystem::path(order.path).parent_path().string());
  if (!confined) return std::unexpected(std::move(confined.error()));
  if (on_disk && !confined->may_read) file.bytes = std::move(on_disk);
  on_disk.reset();
  return factory->make()->load(file, order.options);
}

class Worker {
 public:
  Worker(int control, std::shared_ptr<const Model> model, std::uint64_t region_max)
      : control_(control), model_(std::move(model)), region_max_(region_max) {}

  // Until the gateway is gone.
  void serve() {
    while (true) {
      channels_.remove_if([](const std::unique_ptr<Channel>& channel) { return channel->ended(); });
      std::vector<pollfd> waiting{{control_, POLLIN, 0}};
      for (const auto& channel : channels_) waiting.push_back({channel->stop_fd(), POLLIN, 0});
      if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
      std::size_t at = 1;
      for (const auto& channel : channels_) {
        if (waiting[at++].revents != 0) channel->stop_run();
      }
      if (waiting[0].revents != 0 && !open_channel()) return;
    }
  }

 private:
  bool open_channel() {
    auto packet = receive(control_);
    if (!packet) return false;
    auto& given = packet->descriptors;
    if (given.size() != 3) return true;
    auto region = SharedRegion::open(given[1].release(), region_max_);
    if (!region) return true;
    channels_.push_back(
        std::make_unique<Channel>(*model_, std::move(given[0]), std::move(*region), std::move(given[2])));
    return true;
  }

  const int control_;
  std::shared_ptr<const Model> model_;
  const std::uint64_t region_max_;
  std::list<std::unique_ptr<Channel>> channels_;
};

}  // namespace

int serve_worker(int control, const base::Registry& registry, const Confine& confine) {
  ::mallopt(M_ARENA_MAX, 2);
  auto packet = receive(control);
  if (!packet) return 0;
  auto message = decode(packet->text);
  const LoadOrder* order = message ? std::get_if<LoadOrder>(&*message) : nullptr;
  if (order == nullptr) return 1;
  auto model = load(*order, std::move(packet->descriptors), registry, confine);
  if (!model) {
    [[maybe_unused]] auto sent = send(control, encode(Refusal{std::move(model.error())}));
    return 1;
  }
  if (!send(control, encode(Loaded{.info = (*model)->info(), .memory = (*model)->memory_bytes()}))) return 0;
  Worker(control, std::move(*model), region_max(order->options.memory_max)).serve();
  // The threads of channels still run: nothing of theirs is taken apart under them.
  ::_exit(0);
}

}  // namespace penstock::infer::isolated
