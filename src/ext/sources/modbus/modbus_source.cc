#include "ext/sources/modbus/modbus_source.h"

#include <fmt/format.h>

#include "ext/sources/modbus/modbus_config.h"

namespace penstock::ext {
namespace {

modbus::Poller::Answered on_loop(rt::Loop& loop, std::function<void(Result<ingest::Value>)> done) {
  return [&loop, done = std::move(done)](Result<ingest::Value> result) {
    loop.post([done, result = std::move(result)] { done(result); });
  };
}

}  // namespace

ModbusSource::ModbusSource(std::string name, modbus::PollerOptions options, const base::Clock& clock)
    : name_(std::move(name)),
      options_(std::move(options)),
      poller_(std::make_shared<modbus::Poller>(options_, clock)) {}

ModbusSource::~ModbusSource() { stop(); }

Result<void> ModbusSource::start(rt::Loop& loop, ingest::Emit emit) {
  loop_ = &loop;
  return poller_->start(
      [emit = std::move(emit)](std::vector<ingest::Sample> samples) { return emit(std::move(samples)); });
}

void ModbusSource::stop() {
  if (loop_ == nullptr) return;
  poller_->stop();
  loop_ = nullptr;
}

ingest::Status ModbusSource::status() const {
  modbus::PollerStatus status = poller_->status();
  std::size_t points = 0;
  for (const modbus::Device& device : options_.devices) points += device.points.size();
  if (status.detail.empty()) {
    status.detail = fmt::format(
        "reading {} points of {} devices at {}{}", points, options_.devices.size(), options_.address.text(),
        status.missed == 0 ? "" : fmt::format("; {} readings left out: too slow for `every`", status.missed));
  }
  return {.connected = status.connected,
          .detail = std::move(status.detail),
          .messages = status.samples,
          .dropped = status.refused};
}

ingest::Shape ModbusSource::shape() const {
  ingest::Shape shape{.fields = {}, .open = false, .samples_per_second = 0};
  for (const modbus::Device& device : options_.devices) {
    std::vector<base::Duration> paces = device.every;
    std::sort(paces.begin(), paces.end());
    paces.erase(std::unique(paces.begin(), paces.end()), paces.end());
    for (base::Duration every : paces) *shape.samples_per_second += 1 / std::chrono::duration<double>(every).count();
    for (const modbus::Point& point : device.points) {
      const auto [entry, is_new] = shape.fields.try_emplace(point.name, point.field_type());
      // Devices may differ in what they call by one name.
      if (!is_new && entry->second.kind != point.field_type().kind)
        entry->second.kind = ingest::FieldType::Kind::unknown;
      if (!is_new && entry->second.unit != point.unit) entry->second.unit.clear();
    }
  }
  return shape;
}

Result<ModbusSource::Place> ModbusSource::find(const std::string& point) const {
  if (loop_ == nullptr) return fail(Errc::unavailable, fmt::format("the source '{}' is not running", name_));
  for (std::size_t d = 0; d < options_.devices.size(); ++d) {
    const modbus::Device& device = options_.devices[d];
    for (std::size_t p = 0; p < device.points.size(); ++p) {
      const bool alone = options_.devices.size() == 1 && point == device.points[p].name;
      if (alone || point == device.name + "." + device.points[p].name) return Place{d, p};
    }
  }
  return fail(Errc::not_found, fmt::format("the source '{}' has no point '{}'", name_, point));
}

void ModbusSource::write(ingest::PointWrite write, std::function<void(Result<ingest::Value>)> done) {
  auto place = find(write.point);
  if (!place) return done(std::unexpected(place.error()));
  if (!options_.devices[place->device].points[place->point].writable) {
    return done(fail(Errc::permission_denied,
                     fmt::format("'{}.{}' is read only: write its address with :rw", name_, write.point)));
  }
  poller_->write(place->device, place->point, std::move(write.value), write.timeout, on_loop(*loop_, std::move(done)));
}

void ModbusSource::read(ingest::PointRead read, std::function<void(Result<ingest::Value>)> done) {
  auto place = find(read.point);
  if (!place) return done(std::unexpected(place.error()));
  poller_->read(place->device, place->point, read.timeout, on_loop(*loop_, std::move(done)));
}

std::unique_ptr<ingest::Source> make_modbus_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                   const ingest::Context& context) {
  auto options = modbus::read_options(name, kind, map);
  if (!options) return nullptr;
  return std::make_unique<ModbusSource>(name, std::move(*options), *context.clock);
}

}  // namespace penstock::ext
