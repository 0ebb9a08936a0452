#include "ext/sources/modbus/bus.h"

#include <fmt/format.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace penstock::ext::modbus {
namespace {

Result<int> parse_integer(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is no number", text));
  }
  return value;
}

Result<void> parse_option(std::string_view option, Address& address) {
  const std::size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  if (name == "baud" || name == "stop") {
    auto number = parse_integer(value);
    if (!number) return std::unexpected(number.error());
    const bool good = name == "baud" ? *number >= 110 && *number <= 4'000'000 : *number == 1 || *number == 2;
    if (!good) return fail(Errc::out_of_range, fmt::format("{}={} cannot be", name, value));
    (name == "baud" ? address.baud : address.stop_bits) = *number;
    return {};
  }
  constexpr std::array<std::pair<std::string_view, char>, 3> kParities{{{"none", 'N'}, {"even", 'E'}, {"odd", 'O'}}};
  for (const auto& [word, letter] : kParities) {
    if (name == "parity" && value == word) {
      address.parity = letter;
      return {};
    }
  }
  return fail(Errc::invalid_argument,
              fmt::format("'{}' is no option of a serial line; there are baud=19200, parity=none|even|odd and stop=1|2",
                          option));
}

Result<Address> parse_serial(std::string_view rest) {
  Address address{.serial = true};
  const std::size_t mark = rest.find('?');
  address.host = rest.substr(0, mark);
  if (!address.host.starts_with('/')) {
    return fail(Errc::invalid_argument, "a serial line is named by its whole path: rtu:///dev/ttyUSB0");
  }
  std::string_view options = mark == std::string_view::npos ? std::string_view() : rest.substr(mark + 1);
  while (!options.empty()) {
    const std::size_t end = std::min(options.find('&'), options.size());
    if (auto read = parse_option(options.substr(0, end), address); !read) return std::unexpected(read.error());
    options.remove_prefix(std::min(end + 1, options.size()));
  }
  return address;
}

Result<Address> parse_tcp(std::string_view rest) {
  Address address;
  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos)
      return fail(Errc::invalid_argument, "a ']' is missing behind the IPv6 address");
    address.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    address.host = rest.substr(0, colon);
    port = rest.substr(colon);
  }
  if (port.ends_with('/')) port.remove_suffix(1);
  if (address.host.empty() || address.host.find('/') != std::string::npos) {
    return fail(Errc::invalid_argument, "the address is tcp://host:502 or rtu:///dev/ttyUSB0");
  }
  if (port.empty()) return address;
  auto number = port.starts_with(':') ? parse_integer(port.substr(1)) : Result<int>(0);
  if (!number || *number < 1 || *number > 65535)
    return fail(Errc::invalid_argument, fmt::format("'{}' is no port", port));
  address.port = static_cast<std::uint16_t>(*number);
  return address;
}

// libmodbus numbers exceptions from here, and has one number for those it does not know.
bool is_exception(int error) {
  return (error >= MODBUS_ENOBASE && error <= MODBUS_ENOBASE + MODBUS_EXCEPTION_GATEWAY_TARGET) || error == EMBBADEXC;
}

Errc code_of(int error) {
  switch (error) {
    case EMBXILADD: return kNoSuchAddress;
    case EMBXILVAL: return kNotInThisWay;
    case EMBXACK:
    case EMBXSBUSY: return kBusyDevice;
    case ETIMEDOUT:
    case EMBXGTAR: return Errc::deadline_exceeded;
    case EMBXGPATH: return Errc::unavailable;
    default: return is_exception(error) ? kRefusedByDevice : Errc::unavailable;
  }
}

// Of one request and its answer, beside what they carry.
constexpr std::size_t kFrameBytes = 20;
// Start, eight bits, parity or a second stop bit, stop.
constexpr int kBitsPerByte = 11;

void set_timeout(_modbus* modbus, base::Duration timeout) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(timeout).count();
  ::modbus_set_response_timeout(modbus, static_cast<std::uint32_t>(micros / 1'000'000),
                                static_cast<std::uint32_t>(micros % 1'000'000));
}

std::string words_of(int error) {
  switch (error) {
    case EMBXILFUN: return "exception 01: the device does not know this function";
    case EMBXILADD: return "exception 02: the device has no such address";
    case EMBXILVAL: return "exception 03: the device refuses the value or the number of registers";
    case EMBXSFAIL: return "exception 04: the device failed";
    case EMBXACK: return "exception 05: the device is still working on it";
    case EMBXSBUSY: return "exception 06: the device is busy";
    case EMBXGPATH: return "exception 10: the gateway before the device has no path";
    case EMBXGTAR: return "exception 11: the device behind the gateway does not answer";
    case ETIMEDOUT: return "no answer in time";
    case EMBBADEXC: return "an exception that the protocol does not know";
    case EMBBADDATA: return "an answer to another request";
    case EMBBADSLAVE: return "an answer of another device";
    case EMBBADCRC: return "an answer with a wrong checksum: look at baud rate, parity and the line";
    default: return ::modbus_strerror(error);
  }
}

}  // namespace

std::string Address::text() const {
  if (serial) return "rtu://" + host;
  if (host.find(':') != std::string::npos) return fmt::format("tcp://[{}]:{}", host, port);
  return fmt::format("tcp://{}:{}", host, port);
}

Result<Address> parse_address(std::string_view text) {
  if (text.starts_with("tcp://")) return parse_tcp(text.substr(6));
  if (text.starts_with("rtu://")) return parse_serial(text.substr(6));
  return fail(Errc::invalid_argument,
              fmt::format("'{}': the address is tcp://host:502 or rtu:///dev/ttyUSB0?baud=19200&parity=even", text));
}

Bus::Bus(Address address, base::Duration timeout) : address_(std::move(address)), timeout_(timeout) {}

Bus::~Bus() { close(); }

Result<void> Bus::connect() {
  if (connected_) return {};
  std::unique_lock lock(mutex_);
  if (interrupted_) return fail(Errc::cancelled, "stopped");
  modbus_ = address_.serial
                ? ::modbus_new_rtu(address_.host.c_str(), address_.baud, address_.parity, 8, address_.stop_bits)
                : ::modbus_new_tcp_pi(address_.host.c_str(), std::to_string(address_.port).c_str());
  if (modbus_ == nullptr)
    return fail(Errc::invalid_argument, fmt::format("{}: {}", address_.text(), ::modbus_strerror(errno)));
  set_timeout(modbus_, timeout_);
  // The whole answer within the timeout: a device that sends byte by byte holds nobody up.
  ::modbus_set_byte_timeout(modbus_, 0, 0);
  _modbus* opening = modbus_;
  lock.unlock();
  errno = 0;
  if (::modbus_connect(opening) == 0) {
    connected_ = true;
    return {};
  }
  const int error = errno;
  close();
  const std::string why = error == 0             ? "there is no such host"
                          : error == EINPROGRESS ? "no answer in time"
                                                 : ::modbus_strerror(error);
  return fail(Errc::unavailable, fmt::format("{}: {}", address_.text(), why));
}

void Bus::close() {
  std::lock_guard lock(mutex_);
  connected_ = false;
  if (modbus_ == nullptr) return;
  ::modbus_close(modbus_);
  ::modbus_free(modbus_);
  modbus_ = nullptr;
}

void Bus::interrupt() {
  std::lock_guard lock(mutex_);
  interrupted_ = true;
  if (modbus_ == nullptr || address_.serial) return;
  const int socket = ::modbus_get_socket(modbus_);
  if (socket >= 0) ::shutdown(socket, SHUT_RDWR);
}

// Nothing is owed to us between two requests: what is there nevertheless is the end of the connection, or an answer for
// which nobody waits any more.
void Bus::clear() {
  if (!connected_) return;
  if (address_.serial) {
    ::modbus_flush(modbus_);
    return;
  }
  pollfd one{::modbus_get_socket(modbus_), POLLIN, 0};
  if (::poll(&one, 1, 0) != 0) close();
}

Result<void> Bus::prepare(int unit, std::size_t bytes) {
  clear();
  if (auto ready = connect(); !ready) return ready;
  if (address_.serial) {
    const auto on_the_line = std::chrono::microseconds((bytes + kFrameBytes) * kBitsPerByte * 1'000'000 /
                                                       static_cast<std::size_t>(address_.baud));
    set_timeout(modbus_, timeout_ + on_the_line);
  }
  if (::modbus_set_slave(modbus_, unit) == 0) return {};
  return fail(Errc::invalid_argument, fmt::format("unit {} cannot be", unit));
}

Error Bus::failure(int unit, std::string_view what) {
  const int error = errno;
  // A serial line stays open when an answer is missing or spoilt: there is nothing to be had from opening it again.
  const bool usable = is_exception(error) || (address_.serial && (error == ETIMEDOUT || error > MODBUS_ENOBASE));
  if (!usable) close();
  return {code_of(error), fmt::format("{} unit {}, {}: {}", address_.text(), unit, what, words_of(error)), {}};
}

Result<void> Bus::read(int unit, const Block& block, std::vector<std::uint16_t>& words) {
  if (auto ready = prepare(unit, has_bits(block.table) ? block.count / 8U : block.count * 2U); !ready) return ready;
  words.assign(block.count, 0);
  int got = -1;
  if (has_bits(block.table)) {
    std::vector<std::uint8_t> bits(block.count);
    got = block.table == Table::coils ? ::modbus_read_bits(modbus_, block.address, block.count, bits.data())
                                      : ::modbus_read_input_bits(modbus_, block.address, block.count, bits.data());
    std::copy(bits.begin(), bits.end(), words.begin());
  } else {
    got = block.table == Table::holding_registers
              ? ::modbus_read_registers(modbus_, block.address, block.count, words.data())
              : ::modbus_read_input_registers(modbus_, block.address, block.count, words.data());
  }
  if (got == block.count) return {};
  return std::unexpected(failure(
      unit, fmt::format("function {} at {}, {} of them", static_cast<int>(block.table), block.address, block.count)));
}

Result<void> Bus::write(int unit, Table table, std::uint16_t address, std::span<const std::uint16_t> words) {
  if (auto ready = prepare(unit, has_bits(table) ? words.size() / 8 : words.size() * 2); !ready) return ready;
  const int count = static_cast<int>(words.size());
  int written = -1;
  if (has_bits(table)) {
    const std::vector<std::uint8_t> bits(words.begin(), words.end());
    written = count == 1 ? ::modbus_write_bit(modbus_, address, bits[0])
                         : ::modbus_write_bits(modbus_, address, count, bits.data());
  } else {
    written = count == 1 ? ::modbus_write_register(modbus_, address, words[0])
                         : ::modbus_write_registers(modbus_, address, count, words.data());
  }
  if (written == count || (written < 0 && errno == EMBXACK)) return {};
  const bool refused = is_exception(errno);
  Error error = failure(unit, fmt::format("writing {} at {}", has_bits(table) ? "coils" : "registers", address));
  // It was sent, and what came, if anything, is no answer to it.
  if (!refused) error.code = Errc::deadline_exceeded;
  return std::unexpected(std::move(error));
}

}  // namespace penstock::ext::modbus
