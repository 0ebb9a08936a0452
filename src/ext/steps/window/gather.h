// What every kind of window takes from samples and gives out.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ext/steps/window/settings.h"
#include "ingest/contracts.h"

namespace penstock::ext::steps {

constexpr std::size_t kColumnsMax = 64;             // fields per series
constexpr std::size_t kPointsPerFieldMax = 65'536;  // values kept for one field of one series
constexpr std::size_t kPointsMax = 4'000'000;       // values kept by the step: 64 MB
constexpr std::size_t kPiecesMax = 1'000'000;       // pieces of all series together
constexpr std::size_t kWaitingMax = 100'000;        // samples held for stragglers, all series together
constexpr std::size_t kReceiptsPerPieceMax = 65'536;

// One field, or one expression over fields, of one series.
struct Column {
  std::string name;
  std::string unit;
  const ingest::Expression* expression = nullptr;
  bool keeps_points = false;
  std::size_t points = 0;
};

// The receipts of the samples of one piece, joined once for all the windows that the piece is part of.
class Receipts {
 public:
  // Beyond the bound those before are let go: after a crash their samples are not in this piece.
  void add(const ingest::ReceiptPtr& receipt) {
    if (!receipt) return;
    if (parts_.size() >= kReceiptsPerPieceMax) parts_.clear();
    parts_.add(receipt);
    joined_.reset();
  }
  void clear() {
    parts_.clear();
    joined_.reset();
  }
  const ingest::ReceiptPtr& joined() const {
    if (!joined_) joined_ = parts_.joined();
    return joined_;
  }

 private:
  ingest::ReceiptGatherer parts_;
  mutable ingest::ReceiptPtr joined_;
};

// A stretch of one series; pieces that follow each other merge.
struct Piece {
  std::uint64_t samples = 0;
  ingest::Quality worst = ingest::Quality::good;
  base::WallMicros from = 0;  // event time of the first and the last sample
  base::WallMicros to = 0;
  std::vector<Accumulator> columns;

  void merge_figures(const Piece& later);
  void append_points(const Piece& later);
};

// One window, ready to be told.
struct Report {
  const std::string* device = nullptr;
  const ingest::Sample* latest = nullptr;  // by event time; what its tags and other fields are taken from
  base::WallMicros start = 0;
  base::WallMicros end = 0;
  base::WallMicros at = 0;  // event time of what is emitted
  base::WallMicros ingest_time = 0;
  ingest::ReceiptPtr receipt;
};

// One per step: knows what the step wants of a sample, and keeps the bounds over all its series.
class Gatherer {
 public:
  Gatherer(Settings settings, ingest::StepContext context);

  const Settings& settings() const { return settings_; }
  const ingest::StepContext& context() const { return context_; }
  const std::vector<Column>& columns() const { return columns_; }  // of a new series
  bool keeps_points() const;

  // False for what does not belong into any window; what is dropped is counted.
  bool wants(const ingest::Sample& sample) const;
  void add(std::vector<Column>& columns, Piece& piece, const ingest::Sample& sample);
  // A series is given up for another one: counted and shown.
  void tell_too_many() const;
  // The newest sample of a piece, as far as it is needed.
  void keep_latest(ingest::Sample& latest, bool first, ingest::Sample sample) const;
  // A piece leaves: what it held is free again.
  void forget(std::vector<Column>& columns, const Piece& piece);
  // `whole` has the points of its columns in any order; they are sorted.
  ingest::Sample tell(const std::vector<Column>& columns, Piece& whole, const Report& report) const;

  // Where this step's columns are in the series of another step; nothing when one it needs is missing there.
  std::optional<std::vector<std::size_t>> fitting(const Gatherer& other) const;
  // Makes this step's own what `other` kept of one piece, and of one series after all its pieces.
  void adopt_piece(Piece& piece, const std::vector<std::size_t>& places) const;
  void adopt_columns(std::vector<Column>& columns, Gatherer& other, const std::vector<std::size_t>& places);

  // What a kind of window keeps.
  struct Extent {
    std::size_t pieces = 1;           // of one series
    bool latest_per_piece = false;    // each with its newest sample; else one per series
    bool samples_wait = false;        // for stragglers, one by one
    std::optional<double> samples{};  // in one window, at most; none: unknown
  };
  ingest::StepPlan plan(const ingest::Shape& in, const Extent& extent) const;

 private:
  bool everything() const { return settings_.outputs.empty(); }
  std::size_t column_at(std::vector<Column>& columns, std::size_t hint, const std::string& name);
  void add_value(Column& column, Accumulator& figures, const ingest::Sample& sample, const ingest::Field& field);
  void add_term(Column& column, Accumulator& figures, const ingest::Sample& sample);
  void keep(Column& column, Accumulator& figures, Point point);
  void tell_arrays(const std::vector<Column>& columns, Piece& whole, ingest::Sample& sample) const;
  void tell_aggregates(const std::vector<Column>& columns, Piece& whole, const Report& report,
                       ingest::Sample& sample) const;
  static std::uint32_t longest(const ingest::FieldType& of, std::optional<double> samples);
  ingest::FieldType type_of_output(const AggregateCall& call, const ingest::Shape& in,
                                   std::vector<std::string>& problems) const;

  Settings settings_;
  ingest::StepContext context_;
  std::vector<Column> columns_;
  bool merges_ = false;  // merge_agg(*) is asked for
  std::size_t points_ = 0;
};

}  // namespace penstock::ext::steps
