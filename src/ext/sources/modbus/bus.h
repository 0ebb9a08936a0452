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

// What devices answer instead (exceptions): the connection is good. What else fails is deadline_exceeded, without an
// answer in time, or unavailable. Exceptions 0A and 0B are among these too: a gateway says that its device is not
// there.
constexpr Errc kRefusedByDevice = Errc::failed_precondition;
constexpr Errc kNoSuchAddress = Errc::not_found;        // exception 02
constexpr Errc kNotInThisWay = Errc::out_of_range;      // exception 03: a value, or so many registers at once
constexpr Errc kBusyDevice = Errc::resource_exhausted;  // exceptions 05 and 06: to be asked again later

// Used by one thread, but for interrupt(). A request blocks for at most the timeout, on a serial line for the time its
// bytes need in addition; connecting for the timeout and a look-up of the name.
//
// An answer is taken only when it belongs to the request: over TCP by its number, on a serial line by device, function
// and length. Because that leaves a late answer to the request before, nothing should be sent on a serial line for a
// while after a request that was not answered.
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

  // Registers, or bits as 0 and 1, into `words`. A TCP connection is closed after anything but an exception.
  Result<void> read(int unit, const Block& block, std::vector<std::uint16_t>& words);
  // Coils or holding registers: function 5 or 6 for one, 15 or 16 for more.
  // What the device has accepted and is still working on (exception 05) counts as written. Once it was sent it fails
  // as the device says, or with deadline_exceeded: nobody knows whether it was done.
  Result<void> write(int unit, Table table, std::uint16_t address, std::span<const std::uint16_t> words);

  // Any thread: what waits for an answer over TCP ends.
  void interrupt();

 private:
  Result<void> prepare(int unit, std::size_t bytes);
  void clear();
  Error failure(int unit, std::string_view what);

  const Address address_;
  const base::Duration timeout_;
  std::mutex mutex_;  // guards the socket's opening and closing against interrupt()
  _modbus* modbus_ = nullptr;
  bool connected_ = false;
  bool interrupted_ = false;
};

}  // namespace penstock::ext::modbus
