// The usage ledger: what each key, team, model and target used per minute, hour and day, and how far the meters of
// limits and budgets stand. A file of its own (ledger.db), so that what is written several times a second never waits
// for what is read and changed by people.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>

#include "store/database.h"
#include "store/usage.h"

namespace penstock::store {

// The meters of one account, as quota::Book takes them up again.
struct MeterState {
  std::string id;
  std::string state;  // empty: nothing is left to remember
};

// How one account went on in a process that keeps the meters no more: for the one that does.
struct CarriedMeter {
  std::int64_t sequence = 0;
  std::string id;
  std::string before;  // states as MeterState::state
  std::string after;
};
// What a write leaves to the process that keeps the meters, and what it has taken up of it: sequences.
struct Carrying {
  std::span<const CarriedMeter> left;
  std::span<const std::int64_t> taken_up;
};

// One connection: used by one thread at a time; open another for another thread. Reading never holds up writing.
class Ledger {
 public:
  // Opens <dir>/ledger.db, making folder and file when needed, and takes over what older versions counted in
  // penstock.db. Errors: failed_precondition for a file of a newer version (which is left as it is), data_loss for a
  // damaged one.
  static Result<Ledger> open(const std::string& dir);
  // How long a call waits for another writer before it fails; 2 s unless told.
  void set_patience(std::chrono::milliseconds patience) { database_.set_patience(patience); }

  // Adds to what is there: all of it, with the meters, or nothing.
  Result<void> write(std::span<const UsageRow> rows, std::span<const MeterState> meters, base::WallMicros now,
                     const Carrying& carrying = {});
  // Those after `since`, in the order they were left in.
  Result<std::vector<CarriedMeter>> carried(std::int64_t since);
  Result<std::vector<MeterState>> meters();

  // Calls `take` with one row after the other until it returns false. What is held in memory is one time step's groups.
  // Errors: invalid_argument; out_of_range when rows that fine are kept no longer; resource_exhausted when a time step
  // has more than kUsageGroupsMax groups.
  using Take = std::function<bool(const UsageRow&)>;
  Result<UsageRange> query(const UsageQuery& query, const Take& take);

  // The begin of the newest minute there are rows of, or of the day where those of minutes are kept no longer; 0: none.
  Result<base::WallMicros> newest();
  // One step of a few milliseconds. True: there is more to do.
  Result<bool> trim(const UsageRetention& keep, base::WallMicros now);

  static constexpr std::size_t kUsageGroupsMax = 1'000'000;

 private:
  explicit Ledger(Database database) : database_(std::move(database)) {}
  Result<void> adopt(const std::string& old_file);
  Result<void> adopt_attached();
  Result<void> write_meters(std::span<const MeterState> meters, base::WallMicros now);
  Result<void> write_carried(const Carrying& carrying);
  Result<bool> trim_table(std::string_view table, std::int64_t before);
  // Prepared once: a new key or model comes with a dozen look-ups.
  struct Names {
    Statement find_name, add_name, find_series, add_series;
  };
  Result<void> prepare_names();
  static Result<std::int64_t> number_of(Statement& statement);
  Result<std::int64_t> name_id(const std::string& name);
  Result<std::int64_t> series_id(const UsageRow& row);

  Database database_;
  std::optional<Names> names_;
  std::unordered_map<std::string, std::int64_t> series_;  // by their names, as far as they were of use lately
};

}  // namespace penstock::store
