// A connection to Modbus devices: TCP, or a serial line (RTU). Over libmodbus, which does the framing.
#pragma once

#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "ext/sources/modbus/read_plan.h"

struct _modbus;

namespace penstock::ext::modbus {

struct Address {
  bool serial = false;
  std::string host = {};  // or the serial line's file
  std::uint16_t port = 502;
  int baud = 19200;
  char parity = 'E';  // N, E or O
  int stop_bits = 1;

  // tcp://plc:502, rtu:///dev/ttyUSB0: for people.
  std::string text() const;
};

// tcp://host[:502] (IPv6 in brackets), rtu:///dev/ttyUSB0[?baud=19200&parity=even&stop=1]. The defaults of a serial
// line are those of the specification (Modbus over Serial Line V1.02, section 2.5.1).
Result<Address> parse_address(std::string_view text);

// The device answered, with an exception: the connection is good. What else fails is a timeout or a lost connection.
constexpr Errc kRefusedByDevice = Errc::failed_precondition;
// Exception 02: an address that the device does not have.
constexpr Errc kNoSuchAddress = Errc::not_found;

// Used by one thread, but for interrupt(). Every call blocks for at most the timeout.
class Bus {
 public:
  Bus(Address address, base::Duration timeout);
  ~Bus();
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  // Once; later calls have nothing to do until the connection is closed.
  Result<void> connect();
  void close();
  bool connected() const { return connected_; }

  // Registers, or bits as 0 and 1, into `words`. The connection is closed after anything but an exception, because a
  // late answer would be taken for that of the next request.
  Result<void> read(int unit, const Block& block, std::vector<std::uint16_t>& words);
  // Coils or holding registers: function 5 or 6 for one, 15 or 16 for more.
  Result<void> write(int unit, Table table, std::uint16_t address, std::span<const std::uint16_t> words);

  // Any thread: what waits for an answer over TCP ends.
  void interrupt();

 private:
  Result<void> prepare(int unit);
  Error failure(int unit, std::string_view what);

  const Address address_;
  const base::Duration timeout_;
  std::mutex mutex_;  // guards the socket's opening and closing against interrupt()
  _modbus* modbus_ = nullptr;
  bool connected_ = false;
  bool interrupted_ = false;
};

}  // namespace penstock::ext::modbus
