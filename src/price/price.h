// What a model costs. Money is integer micro-dollars (1 USD = 1,000,000); a rate is micro-dollars per million tokens.
// Every figure is optional: one that nobody knows is absent, never 0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace penstock::price {

using Figure = std::optional<std::int64_t>;

// Micro-dollars per million tokens of each kind that a chat::Usage tells apart.
struct Rates {
  Figure input = {};             // not cached, not audio
  Figure cached = {};            // read from the provider's prompt cache; absent: as input
  Figure cache_write = {};       // written to it for minutes
  Figure cache_write_hour = {};  // and for an hour
  Figure output = {};
  Figure reasoning = {};  // absent: as output
  Figure audio_input = {};
  Figure audio_output = {};
  // Tokens of images. A usage does not tell them from text, so all plain tokens cost the dearer of the two.
  Figure image_input = {};
  Figure image_output = {};
  bool operator==(const Rates&) const = default;
};

struct RateField {
  std::string_view name;  // as configuration, listings and JSON spell it
  Figure Rates::* member;
};

constexpr std::array<RateField, 10> kRateFields{{{"input", &Rates::input},
                                                 {"cached", &Rates::cached},
                                                 {"cache_write", &Rates::cache_write},
                                                 {"cache_write_hour", &Rates::cache_write_hour},
                                                 {"output", &Rates::output},
                                                 {"reasoning", &Rates::reasoning},
                                                 {"audio_input", &Rates::audio_input},
                                                 {"audio_output", &Rates::audio_output},
                                                 {"image_input", &Rates::image_input},
                                                 {"image_output", &Rates::image_output}}};

// The rates of every token of a call whose whole input is longer than `above` tokens. What is absent here holds as
// below it.
struct LongContext {
  std::int64_t above = 0;
  Rates rates = {};
  bool operator==(const LongContext&) const = default;
};

// How fast or late an answer may come, where providers sell that apart.
enum class Service { standard, batch, flex, priority, fast };

// The service tier (or Anthropic's `speed`) as requests and answers of the dialects name it: "default", "flex",
// "standard_only", "fast", ...; empty is the standard one. Nothing for a word that no provider is known to use.
std::optional<Service> service_of(std::string_view word);

struct Price {
  Rates rates = {};
  std::vector<LongContext> long_context = {};  // ascending
  Figure request = {};                         // micro-dollars for a call, whatever it used
  Figure image = {};                           // micro-dollars for an image made
  // Percent of the whole; absent: unknown.
  Figure batch = {};
  Figure flex = {};
  Figure priority = {};
  Figure fast = {};
  // Facts beside the price, in tokens.
  Figure context = {};        // input and output together, or the input alone: as the vendor counts
  Figure output_max = {};     // of one answer
  std::string as_of = {};     // the day somebody looked: 2026-01-31; empty: not said
  base::WallMicros from = 0;  // in force from then on

  // Sold by the token; false for models that cost by the call or the image alone.
  bool by_token() const { return rates.input || rates.output; }
  bool operator==(const Price&) const = default;
};

}  // namespace penstock::price
