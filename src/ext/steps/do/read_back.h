// Looks at the machine for what nobody knows of attempts. Pure: it says what is to be read next, and what follows from
// what was read. Never writes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ext/steps/do/run_record.h"

namespace penstock::ext::steps {

// A port that answers nothing at all is given up so much later than what it was told.
inline constexpr base::Duration kPortGrace = std::chrono::seconds(1);

// Of an attempt of which nobody knows how far it came.
Doubt doubt_of(const std::vector<std::shared_ptr<Deed>>& deeds);
// Of one that ended at this deed, which may have been made.
Doubt doubt_at(const std::vector<std::shared_ptr<Deed>>& deeds, std::size_t at);
// For people.
std::string nobody_knows(const Doubt& doubt);

class ReadBack {
 public:
  // Tried for so long, at last every 30 s.
  static constexpr base::Duration kLookFor = std::chrono::hours(24);
  static constexpr base::Duration kPauseMax = std::chrono::seconds(30);

  struct Question {
    std::uint64_t number = 0;
    ingest::PointRead read;
  };
  // What became of an attempt: confirmed, failed, or still unknown. It is looked at no more.
  struct Finding {
    std::string id;
    std::string outcome;
    std::string why;
  };

  // `patience`: what was sent may take so long to be done. Until then a value that is not the wanted one, or a point
  // that cannot be read, says nothing. Also the time for each answer.
  void begin(const std::string& id, Doubt doubt, base::Duration patience, base::SteadyTime now);
  void drop(const std::string& id);

  // One at a time, the one that waits longest; nothing while one is not answered, or none is due.
  std::optional<Question> next(base::SteadyTime now);
  // Answers to other questions than the last one are nothing.
  std::optional<Finding> answered(std::uint64_t number, const Result<ingest::Value>& read, base::SteadyTime now);
  // The number of the question that should have been answered by now.
  std::optional<std::uint64_t> overdue(base::SteadyTime now) const;

  // For each attempt that is looked at, without the texts of its points.
  static constexpr std::size_t bytes_per_look() { return sizeof(Looks::value_type); }

 private:
  struct Look {
    Doubt doubt;
    base::Duration patience{};
    base::SteadyTime since{};
    base::SteadyTime due{};
    base::Duration pause = std::chrono::seconds(1);  // before the next try
    std::size_t at = 0;                              // of the points
    std::vector<std::string> read{};                 // of those before it: "plc.stop reads true"
  };
  struct Asked {
    std::uint64_t number = 0;
    std::string id;
    base::SteadyTime until{};
  };
  using Looks = std::map<std::string, Look>;
  using Verdict = std::optional<std::pair<std::string, std::string>>;  // outcome and why; none: once more, later

  static Verdict judge(Look& look, const Result<ingest::Value>& read, base::SteadyTime now);
  static Verdict not_read(const Look& look, const Error& why, base::SteadyTime now);
  static Verdict otherwise(const Look& look);
  static Verdict all_read(const Look& look);

  Looks looks_;  // by id of the attempt
  std::optional<Asked> asked_;
  std::uint64_t asked_before_ = 0;
};

}  // namespace penstock::ext::steps
