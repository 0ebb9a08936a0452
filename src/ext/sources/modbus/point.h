// One value of a Modbus device: where it is, how its bits are to be read, and what they mean.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/contracts.h"

namespace penstock::ext::modbus {

// The four tables of the data model; the value is the function code that reads it (Modbus Application Protocol V1.1b3,
// sections 4.3 and 6).
enum class Table : std::uint8_t { coils = 1, discrete_inputs = 2, holding_registers = 3, input_registers = 4 };

constexpr bool has_bits(Table table) { return table == Table::coils || table == Table::discrete_inputs; }

enum class Type : std::uint8_t { bit, u16, i16, u32, i32, u64, i64, f32, f64, bcd16, bcd32, text };

// The order in which the bytes of a number arrive, as the bytes of a 32-bit number from the most significant one (a).
// The protocol only says that a register arrives as ab. For 64 bits likewise: cdab turns the registers round, badc the
// bytes of each, dcba both.
enum class Order : std::uint8_t { abcd, cdab, badc, dcba };

struct Point {
  std::string name = {};
  Table table = Table::holding_registers;
  std::uint16_t address = 0;  // on the wire, from 0
  Type type = Type::u16;
  Order order = Order::abcd;
  int bit = -1;             // of a register, 0 is the least significant; -1: none
  std::uint16_t count = 1;  // numbers in a row, more than 1 make an array; of a text the bytes
  double scale = 1;         // value = raw * scale + offset
  double offset = 0;
  std::string unit = {};
  bool writable = false;

  // Coils or registers it takes.
  std::uint16_t width() const;
  ingest::FieldType field_type() const;
};

// Reads ADDRESS[:TYPE][:rw] into `point`; `order` and the rest stay as they are.
//
// ADDRESS: c17 coil 17, d10003 discrete input 3, i30001 input register 1, h40001 holding register 1, counted from 1 as
// in data sheets (five or six digits with the table's leading one; h1 is h40001). h#0 counts from 0 as the wire does.
// h40010.3 is bit 3 of a register. TYPE: u16 i16 u32 i32 u64 i64 f32 f64 bcd16 bcd32, with x8 for eight in a row, with
// .cdab for another order; text16 for 16 bytes of text. Without one: bool for bits, u16 for registers.
Result<void> parse_point(std::string_view text, Point& point);
Result<Order> parse_order(std::string_view text);

// The value of the point in the registers (or bits, one per element) that begin at its address; nothing when they hold
// none: NaN, infinities, digits of a BCD number above 9.
std::optional<ingest::Value> decode(const Point& point, std::span<const std::uint16_t> words);

// The registers (or bits) to be written for `value`. out_of_range when it does not fit the type, invalid_argument when
// it is of another kind. A bit of a register is not encoded here: it needs the register's other bits.
Result<std::vector<std::uint16_t>> encode(const Point& point, const ingest::Value& value);

}  // namespace penstock::ext::modbus
