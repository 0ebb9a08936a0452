// The configuration of a window.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/document.h"
#include "ext/steps/window/aggregate.h"
#include "ingest/series_key.h"

namespace penstock::ext::steps {

struct Settings {
  enum class Kind : std::uint8_t { time, sliding, count, session, state } kind = Kind::time;
  base::WallMicros last = 0;   // time, sliding
  base::WallMicros every = 0;  // time
  std::int64_t count = 0;      // count: samples in a window, and from one to the next
  std::int64_t count_every = 0;
  base::WallMicros gap = 0;  // session
  base::WallMicros max = 0;  // session, state: longest; 0: any
  base::WallMicros late = 0;
  std::size_t devices = 0;  // series kept
  ingest::SeriesKey by;
  std::shared_ptr<const ingest::Expression> where;             // null: every sample
  std::shared_ptr<const ingest::Expression> begin;             // state
  std::shared_ptr<const ingest::Expression> emit;              // sliding, state; may be null
  std::vector<std::pair<std::string, AggregateCall>> outputs;  // empty: arrays of everything

  std::int64_t panes() const { return last / every; }  // time
};

// Nothing after a mistake, which is reported.
std::optional<Settings> read_settings(const config::Node& node);

}  // namespace penstock::ext::steps
