// The parts of an action: a point that is set, a message that is published, a call that is made.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ingest/contracts.h"

namespace penstock::ext::steps {

// Why and for whom an action is made.
struct Cause {
  std::string id = {};  // of this attempt
  std::string pipeline = {};
  std::string action = {};  // its name
  std::string device = {};
  std::string alarm = {};
  bool raised = true;
  std::string why = {};
  base::WallMicros at = 0;  // by our clock
};

// A point and what it is to hold.
struct Wanted {
  std::string source = {};
  std::string point = {};
  ingest::Value value = {};
  double within = 0;  // what is read may be so far off

  std::string name() const { return source + "." + point; }
  bool met_by(const ingest::Value& read) const;
};

// For people; value_of() reads it again, but for arrays, which are not written.
std::string text_of(const ingest::Value& value);
ingest::Value value_of(const std::string& text);

class Deed {
 public:
  // With what confirmed it ("plc.stop reads true"), or why it is not; data_loss where nobody knows.
  using Done = std::function<void(Result<std::string>)>;
  virtual ~Deed() = default;
  // In words, for people: "plc.stop = true". Never a secret.
  virtual std::string text() const = 0;
  // What can be read back of it later; nothing for what leaves no trace that we could read.
  virtual std::optional<Wanted> wanted() const { return std::nullopt; }
  // False where nothing can be reached: in `penstock test` without doubles.
  virtual bool possible(const ingest::Context& context) const = 0;
  // On the loop, before the first one is made.
  virtual void prepare(const ingest::Context& context) { (void)context; }
  // On the loop; `done` exactly once, there.
  virtual void make(rt::Loop& loop, const ingest::Context& context, const Cause& cause, Done done) = 0;
};

// Reads `write`, `publish` and `call` of `map`: the deeds in this order, writes in the order of the file. Mistakes are
// reported.
std::vector<std::shared_ptr<Deed>> read_deeds(config::Map& map, base::Duration confirm_within);

}  // namespace penstock::ext::steps
