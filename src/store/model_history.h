// What happened to models, and what is decided about their traffic: <dir>/models.db, a file of its own, so that what
// loads and evictions write never waits for keys, nor damage to one harms the other. Bounded in rows.
#pragma once

#include "base/clock.h"
#include "store/database.h"

namespace penstock::store {

struct ModelEventRow {
  base::WallMicros at = 0;
  std::string model;
  std::string action;
  std::int64_t from = 0;  // versions; 0: does not apply
  std::int64_t to = 0;
  std::string actor;
  std::string why;  // what is beyond kWhyBytesMax is cut off
};

struct ModelStateRow {
  std::string text;  // empty: there is none
  std::int64_t serial = 0;
};

// Used by one thread at a time; any number of processes.
class ModelHistory {
 public:
  static constexpr std::int64_t kEventsMax = 20'000;
  static constexpr std::int64_t kEventsOfModelMax = 500;
  static constexpr std::int64_t kStatesMax = 10'000;
  static constexpr std::size_t kWhyBytesMax = 2000;

  // Makes folder and file when needed.
  static Result<ModelHistory> open(const std::string& dir);
  static std::string file_in(const std::string& dir) { return dir + "/models.db"; }

  // The oldest go when there are too many.
  Result<void> append(const ModelEventRow& event);
  // The newest first; of one model or, with an empty name, of all.
  Result<std::vector<ModelEventRow>> last(std::string_view model, std::int64_t limit);
  // Stays what it is where it has a higher serial: then false.
  Result<bool> keep(std::string_view model, const ModelStateRow& state, base::WallMicros now);
  Result<ModelStateRow> kept(std::string_view model);

 private:
  explicit ModelHistory(Database database) : database_(std::move(database)) {}
  Result<void> trim(std::string_view model);
  Database database_;
};

}  // namespace penstock::store
