// The table samples go to, and the statements that make and fill it.
//
//   time timestamptz, device text, quality text, fields jsonb, tags jsonb, origin text, seq bigint, [a column per
//   field]
//
// Rows travel as one JSON array in one parameter and take their types from the table itself, so that one statement per
// batch is one transaction. A unique index over (origin, seq, device, time) makes a row that comes again no second row;
// the time is in it, as TimescaleDB's hypertables ask.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/document.h"
#include "ingest/sample.h"

namespace penstock::ext {

class PostgresTable {
 public:
  struct Column {
    std::string name;
    std::string field;
    std::string type;  // for creating it
  };

  PostgresTable(std::string name, std::vector<Column> columns);

  // `table` (samples; schema.table) and `columns`. Mistakes are reported on their keys.
  static PostgresTable read(config::Map& map);

  std::vector<std::string> create_statements() const;
  std::string insert_statement() const;
  // The parameter of the insert: those of `samples` from `first` to before `last`. What is longer than `bytes_max` is
  // not whole.
  std::string rows(const std::vector<ingest::Sample>& samples, std::size_t first, std::size_t last,
                   std::size_t bytes_max = SIZE_MAX) const;
  const std::string& name() const { return name_; }

 private:
  void append_row(std::string& out, const ingest::Sample& sample) const;

  std::string name_;
  std::vector<Column> columns_;
};

}  // namespace penstock::ext
