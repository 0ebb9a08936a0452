#include "ext/sources/modbus/poller.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <system_error>
#include <thread>

#include "ingest/field_access.h"
#include "obs/log.h"

namespace penstock::ext::modbus {
namespace {

using namespace std::chrono_literals;

// Between two frames of a serial line: three and a half characters at 19,200 baud, and the same again for slow devices.
constexpr base::Duration kSerialPause = 4ms;
// Writes that wait for the bus.
constexpr std::size_t kOrdersMax = 100;

// Before a busy device is asked again.
constexpr base::Duration kBusyPause = 100ms;
// Before a device that does not read as it was written is looked at again: many take a cycle of their own.
constexpr base::Duration kLookAgain = 50ms;

bool no_answer(Errc code) { return code == Errc::deadline_exceeded || code == Errc::unavailable; }

}  // namespace

Poller::Poller(PollerOptions options, const base::Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      bus_(options_.address, options_.timeout),
      lines_(options_.devices.size()),
      detail_("connecting to " + options_.address.text()) {
  for (std::size_t index = 0; index < options_.devices.size(); ++index) {
    const Device& device = options_.devices[index];
    std::map<base::Duration, std::vector<std::size_t>> paces;
    for (std::size_t i = 0; i < device.points.size(); ++i) paces[device.every[i]].push_back(i);
    for (auto& [every, points] : paces) {
      groups_.push_back({index, every, {}, plan_reads(device.points, std::move(points), device.limits)});
    }
  }
}

Result<void> Poller::start(Emit emit) {
  emit_ = std::move(emit);
  ended_ = false;
  try {
    std::thread([self = shared_from_this()] { self->run(); }).detach();
  } catch (const std::system_error& error) {
    ended_ = true;
    return fail(Errc::resource_exhausted,
                std::string("cannot start the thread of a Modbus connection: ") + error.what());
  }
  return {};
}

void Poller::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  bus_.interrupt();
  std::vector<std::pair<Answered, Error>> left;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 200ms, [this] { return ended_; });
    for (Order& order : orders_) {
      if (!order.answered) continue;
      Error why{Errc::cancelled, "the source was stopped", {}};
      if (order.value) why.detail += " before the write was made";
      if (order.value && order.begun)
        why = {Errc::data_loss, "the source was stopped before the write was confirmed; it may have been made", {}};
      left.emplace_back(std::exchange(order.answered, {}), std::move(why));
    }
  }
  {
    std::lock_guard lock(emit_mutex_);
    emit_ = {};
  }
  for (const auto& [answered, why] : left) answered(std::unexpected(why));
}

void Poller::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), "modbus");
  const base::SteadyTime begin = clock_.steady();
  for (Group& group : groups_) group.due = begin;
  // Whoever had a serial line before may still be answered.
  if (options_.address.serial) link_.free_at = begin + options_.timeout;
  while (true) {
    carry_out_orders();
    Group* group = next_group();
    if (!rest(group->due, true)) break;
    if (clock_.steady() >= group->due) read_group(*group);
  }
  bus_.close();
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

Poller::Group* Poller::next_group() {
  return &*std::min_element(groups_.begin(), groups_.end(),
                            [](const Group& a, const Group& b) { return a.due < b.due; });
}

// On the period's own grid, so that nothing drifts; what was missed is left out and counted.
void Poller::schedule(Group& group) {
  const base::SteadyTime now = clock_.steady();
  group.due += group.every;
  if (group.due <= now) {
    const auto behind = (now - group.due) / group.every + 1;
    missed_.fetch_add(static_cast<std::uint64_t>(behind), std::memory_order_relaxed);
    group.due += behind * group.every;
  }
  const Line& line = lines_[group.device];
  if (line.silent && group.due < line.again_at) group.due = line.again_at;
}

void Poller::read_group(Group& group) {
  ingest::Sample sample;
  sample.device = options_.devices[group.device].name;
  std::size_t wanted = 0;
  for (const Block& block : group.blocks) wanted += block.points.size();
  sample.fields.reserve(wanted);
  bool failed = false;
  std::size_t at = 0;
  while (at < group.blocks.size()) {
    auto read = read_block(group, group.blocks[at], sample);
    if (stopping()) return;
    const bool too_wide = !read && (read.error().code == kNoSuchAddress || read.error().code == kNotInThisWay);
    if (too_wide && cut(group, at)) continue;
    failed = failed || !read;
    ++at;
    // One that does not answer is not asked for the rest.
    if (lines_[group.device].silent) break;
  }
  if (failed) sample.quality = sample.fields.empty() ? ingest::Quality::bad : ingest::Quality::uncertain;
  emit(std::move(sample));
  schedule(group);
}

// A device may have holes, or give less at once than the protocol allows: what bridges gaps is asked for without
// bridges, and then by halves, so that one wrong address takes no other value with it. False when there is nothing to
// cut.
bool Poller::cut(Group& group, std::size_t at) {
  const Block block = group.blocks[at];
  if (block.points.size() < 2) return false;
  const Device& device = options_.devices[group.device];
  RequestLimits limits = device.limits;
  std::vector<Block> parts;
  if (block.bridges) {
    limits.gap = 0;
    parts = plan_reads(device.points, block.points, limits);
  } else {
    const auto middle = block.points.begin() + static_cast<std::ptrdiff_t>(block.points.size() / 2);
    parts = plan_reads(device.points, {block.points.begin(), middle}, limits);
    const auto rest = plan_reads(device.points, {middle, block.points.end()}, limits);
    parts.insert(parts.end(), rest.begin(), rest.end());
  }
  const auto place = group.blocks.erase(group.blocks.begin() + static_cast<std::ptrdiff_t>(at));
  group.blocks.insert(place, parts.begin(), parts.end());
  return true;
}

Result<void> Poller::read_block(const Group& group, const Block& block, ingest::Sample& sample) {
  const Device& device = options_.devices[group.device];
  auto read = ask(group.device, Purpose::reading, [&] { return bus_.read(device.unit, block, words_); });
  if (!read) return read;
  for (std::size_t index : block.points) {
    const Point& point = device.points[index];
    const std::span<const std::uint16_t> words(words_);
    if (auto value = decode(point, words.subspan(static_cast<std::size_t>(point.address - block.address)))) {
      sample.fields.push_back({point.name, std::move(*value), point.unit});
    } else {
      sample.quality = ingest::Quality::uncertain;
    }
  }
  return {};
}

// A request with its pauses and its further attempts.
Result<void> Poller::ask(std::size_t device, Purpose purpose, const std::function<Result<void>()>& request,
                         base::SteadyTime until) {
  const Line& line = lines_[device];
  const bool reading = purpose == Purpose::reading;
  // One known to be silent is tried once, too.
  const int attempts = purpose == Purpose::once || line.silent ? 1 : 1 + options_.retries;
  Result<void> result;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (!await_turn(device, reading)) return fail(Errc::cancelled, "the source is being stopped");
    if (clock_.steady() >= until)
      return fail(Errc::backpressure, "the bus was busy until the time for the write was over: nothing was written");
    if (reading && clock_.steady() < link_.again_at) {
      result = std::unexpected(link_.broken);
      break;
    }
    result = request();
    settle(device, result);
    if (result || (!no_answer(result.error().code) && result.error().code != kBusyDevice)) break;
  }
  note(device, result);
  return result;
}

// Waits until the device may be asked. False when stopped.
bool Poller::await_turn(std::size_t device, bool reading) {
  while (true) {
    if (reading) carry_out_orders();
    const base::SteadyTime when = std::max(lines_[device].free_at, link_.free_at);
    if (!rest(when, reading)) return false;
    if (clock_.steady() >= std::max(lines_[device].free_at, link_.free_at)) return true;
  }
}

// Until a time, or with `orders` until one is due. False when stopped.
bool Poller::rest(base::SteadyTime until, bool orders) {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    base::SteadyTime wake = until;
    for (const Order& order : orders_) wake = orders ? std::min(wake, order.due) : wake;
    const base::Duration left = wake - clock_.steady();
    if (left <= base::Duration::zero()) return true;
    changed_.wait_for(lock, left);
  }
  return false;
}

// When the device, and who else is on the way to it, may be asked next.
void Poller::settle(std::size_t device, const Result<void>& result) {
  const base::SteadyTime now = clock_.steady();
  const Errc code = result ? Errc() : result.error().code;
  const bool busy = !result && code == kBusyDevice;
  const bool lost = !result && no_answer(code);
  lines_[device].free_at = now + std::max(options_.devices[device].pause, busy ? kBusyPause : base::Duration::zero());
  // The answer may still come, and would be taken for that of the next request: there is nothing on a serial line that
  // tells the one from the other.
  if (options_.address.serial) link_.free_at = now + (lost ? std::max(options_.timeout, kSerialPause) : kSerialPause);
  if (bus_.connected()) {
    link_.answered = link_.answered || !lost;
    if (!lost) link_.backoff.reset();
    return;
  }
  // One that nobody answered on is not opened for every device and attempt anew.
  if (!std::exchange(link_.answered, false) && code != Errc::deadline_exceeded) {
    link_.again_at = now + link_.backoff.next();
    link_.broken = result.error();
  }
}

bool Poller::stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

// An exception is an answer. Who does not answer is asked again after a while that grows, so that the others of the bus
// have their time.
void Poller::note(std::size_t device, const Result<void>& result) {
  Line& line = lines_[device];
  const bool silent = !result && no_answer(result.error().code);
  if (!result) failures_.fetch_add(1, std::memory_order_relaxed);
  if (silent) {
    line.again_at = clock_.steady() + line.backoff.next();
  } else {
    line.backoff.reset();
  }
  if (silent != line.silent) {
    obs::log(silent ? obs::Level::warn : obs::Level::info, silent ? "modbus: no answer" : "modbus: answers again",
             {{"device", options_.devices[device].name}, {"why", result ? "" : result.error().detail}});
  }
  line.silent = silent;
  std::lock_guard lock(status_mutex_);
  connected_ =
      std::any_of(lines_.begin(), lines_.end(), [](const Line& one) { return !one.silent; }) && bus_.connected();
  detail_ = result ? std::string() : result.error().detail;
}

void Poller::emit(ingest::Sample sample) {
  sample.event_time = sample.ingest_time = clock_.wall();
  std::vector<ingest::Sample> samples;
  samples.push_back(std::move(sample));
  std::lock_guard lock(emit_mutex_);
  if (!emit_) return;
  (emit_(std::move(samples)) ? samples_ : refused_).fetch_add(1, std::memory_order_relaxed);
}

void Poller::write(std::size_t device, std::size_t point, ingest::Value value, base::Duration timeout,
                   Answered answered) {
  const base::SteadyTime now = clock_.steady();
  take({device, point, std::move(value), now + timeout, now, std::move(answered)});
}

void Poller::read(std::size_t device, std::size_t point, base::Duration timeout, Answered answered) {
  const base::SteadyTime now = clock_.steady();
  take({device, point, std::nullopt, now + timeout, now, std::move(answered)});
}

void Poller::take(Order order) {
  std::optional<Error> refusal;
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || ended_) {
      refusal = Error{Errc::unavailable, "the source is not running", {}};
    } else if (orders_.size() >= kOrdersMax) {
      refusal = Error{Errc::backpressure, fmt::format("{} writes wait for this bus already", kOrdersMax), {}};
    } else {
      orders_.push_back(std::move(order));
    }
  }
  if (refusal) return order.answered(std::unexpected(std::move(*refusal)));
  changed_.notify_all();
}

void Poller::carry_out_orders() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const base::SteadyTime now = clock_.steady();
    const auto first_due = [&](bool writes) {
      return std::find_if(orders_.begin(), orders_.end(),
                          [&](const Order& one) { return one.due <= now && (one.value || !writes); });
    };
    auto order = first_due(true);
    if (order == orders_.end()) order = first_due(false);
    if (order == orders_.end()) return;
    order->begun = true;
    lock.unlock();
    auto result = carry_out(*order);
    lock.lock();
    if (!result) continue;
    if (order->answered) order->answered(std::move(*result));
    orders_.erase(order);
  }
}

// Takes an order on as far as it goes. Nothing when it is to be taken up again when it is due.
std::optional<Result<ingest::Value>> Poller::carry_out(Order& order) {
  using Value = Result<ingest::Value>;
  if (!order.value) return look(order);
  const auto later = [&](base::Duration pause) {
    order.due = clock_.steady() + pause;
    return order.due < order.until;
  };
  if (order.words.empty()) {
    if (clock_.steady() >= order.until) {
      return Value(
          fail(Errc::deadline_exceeded, "the bus was busy until the time for the write was over: nothing was written"));
    }
    if (auto written = set(order); !written) {
      if (written.error().code == kBusyDevice && later(kBusyPause)) return std::nullopt;
      return Value(std::unexpected(written.error()));
    }
  }
  if (auto read = read_point(order); !read) {
    if (read.error().code == kBusyDevice && later(kBusyPause)) return std::nullopt;
    return Value(fail(Errc::data_loss, "written, but it could not be read back: " + read.error().detail));
  }
  const Point& point = options_.devices[order.device].points[order.point];
  auto value = decode(point, words_);
  if (value != decode(point, order.words) && later(kLookAgain)) return std::nullopt;
  if (!value)
    return Value(fail(Errc::data_loss, fmt::format("written, but '{}' does not hold a value now", point.name)));
  return Value(std::move(*value));
}

Result<void> Poller::set(Order& order) {
  const Device& device = options_.devices[order.device];
  const Point& point = device.points[order.point];
  std::vector<std::uint16_t> words;
  if (point.bit >= 0) {
    // The register's other bits are read and written back as they are.
    const double wanted = ingest::number_of(*order.value);
    if (wanted != 0 && wanted != 1)
      return fail(Errc::invalid_argument, fmt::format("'{}' takes true or false", point.name));
    if (auto before = read_point(order); !before) return before;
    const auto mask = static_cast<std::uint16_t>(1U << point.bit);
    words.push_back(static_cast<std::uint16_t>(wanted == 1 ? words_[0] | mask : words_[0] & ~mask));
  } else {
    auto encoded = encode(point, *order.value);
    if (!encoded) return std::unexpected(encoded.error());
    words = std::move(*encoded);
  }
  auto written = ask(
      order.device, Purpose::once, [&] { return bus_.write(device.unit, point.table, point.address, words); },
      order.until);
  if (written) {
    order.words = std::move(words);
  } else if (written.error().code == Errc::deadline_exceeded) {
    written = fail(Errc::data_loss, written.error().detail + "; it may have been written");
  }
  return written;
}

Result<void> Poller::read_point(const Order& order, Purpose purpose) {
  const Device& device = options_.devices[order.device];
  const Point& point = device.points[order.point];
  const Block block{point.table, point.address, point.width(), {order.point}, false};
  return ask(order.device, purpose, [&] { return bus_.read(device.unit, block, words_); });
}

Result<ingest::Value> Poller::look(const Order& order) {
  const base::SteadyTime now = clock_.steady();
  const Line& line = lines_[order.device];
  const Device& device = options_.devices[order.device];
  if (now < link_.again_at) return std::unexpected(link_.broken);
  if (line.silent && now < line.again_at) return fail(Errc::unavailable, device.name + " does not answer");
  if (now >= order.until) return fail(Errc::deadline_exceeded, "the bus was busy until the time for it was over");
  if (auto read = read_point(order, Purpose::once); !read) return std::unexpected(read.error());
  const Point& point = device.points[order.point];
  if (auto value = decode(point, words_)) return std::move(*value);
  return fail(Errc::data_loss, fmt::format("'{}' does not hold a value now", point.name));
}

PollerStatus Poller::status() const {
  std::lock_guard lock(status_mutex_);
  return {.connected = connected_,
          .detail = detail_,
          .samples = samples_.load(std::memory_order_relaxed),
          .refused = refused_.load(std::memory_order_relaxed),
          .failures = failures_.load(std::memory_order_relaxed),
          .missed = missed_.load(std::memory_order_relaxed)};
}

}  // namespace penstock::ext::modbus
