#include "infer/isolated_process.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace penstock::infer::isolated {
namespace {

constexpr auto kLoadPatience = std::chrono::minutes(2);
// A run that was told to stop and goes on longer ends with its process.
constexpr auto kStopPatience = std::chrono::seconds(1);
constexpr auto kLook = std::chrono::milliseconds(100);
// How long the news of an end may take from the process that saw it.
constexpr auto kNews = std::chrono::seconds(2);
// A channel that grew larger is not kept for the next run.
constexpr std::size_t kKeptRegion = 16 << 20;

void wake_up(int eventfd) {
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(eventfd, &one, sizeof(one));
}

// Without a word about the model a restart may cure it.
std::unexpected<Error> no_answer(WorkerProcess& process) {
  int lifeline = process.lifeline.get();
  if (wait(lifeline, -1, kNews) != Ready::packet) end(lifeline);
  std::string how = wait(lifeline, -1, kNews) == Ready::packet ? describe_end(lifeline) : "does not answer";
  return fail(Errc::unavailable, fmt::format("the model's process {} while it loaded the model", how));
}

}  // namespace

Result<std::shared_ptr<Process>> Process::start(const LoadOrder& order, int bytes, int wake, base::Duration run_max) {
  auto born = Nursery::instance().spawn();
  if (!born) return std::unexpected(std::move(born.error()));
  std::shared_ptr<Process> process(new Process(std::move(*born), run_max));
  int control = process->process_.control.get();
  auto sent = bytes >= 0 ? isolated::send(control, encode(order), {bytes}) : isolated::send(control, encode(order));
  if (!sent && sent.error().code == Errc::resource_exhausted) return std::unexpected(std::move(sent.error()));
  if (!sent) return no_answer(process->process_);
  Ready ready = wait(control, wake, kLoadPatience);
  if (ready == Ready::wake) return fail(Errc::cancelled, "the model is no longer wanted");
  if (ready == Ready::nothing)
    return fail(Errc::unavailable,
                fmt::format("{}: the model's process took longer than two minutes to load it", order.path));
  auto packet = receive(control);
  if (!packet) return no_answer(process->process_);
  auto message = decode(packet->text);
  if (!message) return std::unexpected(std::move(message.error()));
  if (auto* refusal = std::get_if<Refusal>(&*message)) return std::unexpected(std::move(refusal->error));
  auto* loaded = std::get_if<Loaded>(&*message);
  if (loaded == nullptr) return fail(Errc::protocol_error, "the model's process answered something else than asked");
  process->info_ = std::move(loaded->info);
  process->memory_.store(loaded->memory, std::memory_order_relaxed);
  return process;
}

Result<std::unique_ptr<Process::Channel>> Process::open_channel() {
  auto ends = make_pair();
  if (!ends) return std::unexpected(std::move(ends.error()));
  auto region = SharedRegion::make();
  if (!region) return std::unexpected(std::move(region.error()));
  Descriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (stop.get() < 0) return fail(Errc::resource_exhausted, "too many open files for a run of an isolated model");
  auto sent =
      isolated::send(process_.control.get(), encode(OpenChannel()), {(*ends)[1].get(), region->fd(), stop.get()});
  if (!sent) return not_sent(std::move(sent.error()));
  return std::make_unique<Channel>(
      Channel{.socket = std::move((*ends)[0]), .region = std::move(*region), .stop = std::move(stop)});
}

Result<std::unique_ptr<Process::Channel>> Process::take_channel() {
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto channel = std::move(idle_.back());
      idle_.pop_back();
      return channel;
    }
  }
  return open_channel();
}

void Process::keep_channel(std::unique_ptr<Channel> channel) {
  if (channel->region.bytes().size() > kKeptRegion) return;
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(channel));
}

std::unexpected<Error> Process::ended() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kNews, [this] { return end_.has_value(); });
  std::string how = !why_killed_.empty() ? why_killed_ : end_.value_or("does not answer");
  return fail(Errc::unavailable, fmt::format("the model's process {}; it is started again", how));
}

std::unexpected<Error> Process::not_sent(Error error) {
  if (error.code == Errc::unavailable) return ended();
  if (error.code != Errc::deadline_exceeded) return std::unexpected(std::move(error));
  put_down("did not take an order within a second and was ended");
  return ended();
}

void Process::put_down(std::string why) {
  {
    std::lock_guard lock(mutex_);
    why_killed_ = std::move(why);
  }
  end(lifeline());
}

std::string Process::note_end() {
  std::string how = describe_end(lifeline());
  std::lock_guard lock(mutex_);
  if (!why_killed_.empty()) how = why_killed_;
  end_ = how;
  changed_.notify_all();
  return how;
}

Result<Packet> Process::wait_for_answer(Channel& channel, const RunOptions& options) {
  base::SteadyTime latest = std::chrono::steady_clock::now() + run_max_;
  std::optional<base::SteadyTime> asked_to_stop;
  while (wait(channel.socket.get(), -1, kLook) == Ready::nothing) {
    auto now = std::chrono::steady_clock::now();
    if (!options.stop.stop_requested() && !channel.late) {
      if (now < latest) continue;
      channel.late = true;
      wake_up(channel.stop.get());
    }
    if (!asked_to_stop) asked_to_stop = now;
    if (now - *asked_to_stop < kStopPatience) continue;
    put_down("did not stop a run within a second and was ended");
    return fail(Errc::cancelled, "the run did not stop when it was told to, and its process was ended");
  }
  auto packet = receive(channel.socket.get());
  if (!packet) return ended();
  return packet;
}

Result<RunDone> Process::exchange(Channel& channel, const RunOrder& order, const RunOptions& options) {
  if (auto sent = isolated::send(channel.socket.get(), encode(order)); !sent) {
    return not_sent(std::move(sent.error()));
  }
  std::stop_callback stopped(options.stop, [&channel] { wake_up(channel.stop.get()); });
  auto packet = wait_for_answer(channel, options);
  if (!packet) return std::unexpected(std::move(packet.error()));
  auto message = decode(packet->text);
  if (!message) return std::unexpected(std::move(message.error()));
  if (auto* refusal = std::get_if<Refusal>(&*message)) return std::unexpected(std::move(refusal->error));
  if (auto* done = std::get_if<RunDone>(&*message)) return std::move(*done);
  return fail(Errc::protocol_error, "the model's process answered something else than asked");
}

Result<std::vector<Tensor>> Process::take_outputs(Channel& channel, const RunDone& done,
                                                  std::span<const std::size_t> outputs) const {
  if (done.outputs.size() != outputs.size())
    return fail(Errc::protocol_error, "the model's process gave another number of outputs than asked for");
  if (auto seen = channel.region.follow(); !seen) return std::unexpected(std::move(seen.error()));
  if (auto fits = check_places(channel.region.bytes(), done.outputs); !fits)
    return std::unexpected(std::move(fits.error()));
  std::vector<Tensor> tensors;
  tensors.reserve(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& spec = info_.outputs[outputs[i]];
    if (done.outputs[i].datatype != spec.datatype)
      return fail(Errc::protocol_error, "the model's process gave an output of another datatype than it declared");
    auto tensor = take(channel.region.bytes(), done.outputs[i], spec.name, Take::copy);
    if (!tensor) return std::unexpected(std::move(tensor.error()));
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}

Result<std::vector<Tensor>> Process::run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                         const RunOptions& options) {
  auto channel = take_channel();
  if (!channel) return std::unexpected(std::move(channel.error()));
  auto places = put((*channel)->region, inputs);
  if (!places) return std::unexpected(std::move(places.error()));
  RunOrder order{.inputs = std::move(*places), .outputs = {}, .shrink = options.shrink};
  order.outputs.assign(outputs.begin(), outputs.end());
  auto done = exchange(**channel, order, options);
  if (!done) {
    // Neither a stop nor an answer that comes late may meet the next run.
    bool late = (*channel)->late;
    bool clean = done.error().code == Errc::invalid_argument && !options.stop.stop_requested() && !late;
    if (clean) keep_channel(std::move(*channel));
    if (late && done.error().code == Errc::cancelled) {
      auto seconds = std::chrono::ceil<std::chrono::seconds>(run_max_).count();
      return fail(Errc::deadline_exceeded, fmt::format("the run took longer than {} s and was stopped", seconds));
    }
    return std::unexpected(std::move(done.error()));
  }
  memory_.store(done->memory, std::memory_order_relaxed);
  auto tensors = take_outputs(**channel, *done, outputs);
  if (tensors && !options.stop.stop_requested() && !(*channel)->late) keep_channel(std::move(*channel));
  return tensors;
}

}  // namespace penstock::infer::isolated
