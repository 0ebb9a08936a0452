#include "base/rfc3339.h"

namespace penstock::base {
namespace {

// Reads from the front of a text; once something does not fit, nothing fits any more.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  int digits(std::size_t count, int least, int most) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      char c = next();
      failed_ = failed_ || c < '0' || c > '9';
      value = value * 10 + (c - '0');
    }
    failed_ = failed_ || value < least || value > most;
    return failed_ ? least : value;
  }
  void one_of(std::string_view allowed) { failed_ = allowed.find(next()) == std::string_view::npos || failed_; }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::int64_t fraction_micros() {
    std::int64_t micros = 0;
    std::int64_t unit = 100'000;
    bool any = false;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; rest_.remove_prefix(1), unit /= 10) {
      micros += unit * (rest_.front() - '0');
      any = true;
    }
    failed_ = failed_ || !any;
    return micros;
  }
  bool done() const { return !failed_ && rest_.empty(); }

 private:
  char next() {
    if (rest_.empty()) {
      failed_ = true;
      return '\0';
    }
    char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace

Result<WallMicros> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  Reader reader(text);
  year y(reader.digits(4, 1970, 9999));
  reader.one_of("-");
  month m(static_cast<unsigned>(reader.digits(2, 1, 12)));
  reader.one_of("-");
  day d(static_cast<unsigned>(reader.digits(2, 1, 31)));
  reader.one_of("Tt ");
  auto time = hours(reader.digits(2, 0, 23));
  reader.one_of(":");
  microseconds within = time + minutes(reader.digits(2, 0, 59));
  reader.one_of(":");
  within += seconds(reader.digits(2, 0, 60));
  if (reader.take('.')) within += microseconds(reader.fraction_micros());
  if (!reader.take('Z') && !reader.take('z')) {
    bool east = reader.take('+');
    if (!east) reader.one_of("-");
    minutes offset = hours(reader.digits(2, 0, 23));
    reader.one_of(":");
    offset += minutes(reader.digits(2, 0, 59));
    within -= east ? offset : -offset;
  }
  year_month_day date(y, m, d);
  if (!reader.done() || !date.ok()) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no time; write one like 2027-01-31T00:00:00Z", text.substr(0, 100)));
  }
  return (sys_days(date).time_since_epoch() + within) / microseconds(1);
}

}  // namespace penstock::base
