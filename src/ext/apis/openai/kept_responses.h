// Responses that callers come back to: how they are kept, and what earlier ones mean for a call that goes on from them.
// The functions that take a State run on the store's thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/response_store.h"

namespace penstock::ext {

// 32 MiB: what a call may come to with all it goes on from and refers to.
constexpr std::size_t kContextBytesMax = 32U << 20;

// Whose responses are asked for.
struct ResponseOwner {
  std::string key;  // flow::Key::owner; empty: there are no keys
  base::WallMicros unused_since = 0;
};

// What came before a call.
struct Earlier {
  std::string provider;  // not empty: it is kept by this one, and there are no items here
  std::string items;     // inputs and outputs in their order: the elements of a JSON array, with commas between
};
// Of the response and all those it followed. not_found: there is none of this owner's, or one before it is gone.
// out_of_range: more bytes than `room`, or 1,000 responses.
Result<Earlier> read_earlier(store::State& state, const std::string& id, const ResponseOwner& owner,
                             std::size_t room = kContextBytesMax);

// The input of a call as it is kept: a list whose items all have a type and an id, made of the response's. `input` is
// the text of a JSON string or list.
Result<std::string> kept_input(std::string_view input, std::string_view response_id);

// The list with the items that its references mean in their place. References to what is not kept here stay.
// invalid_argument: more than 256 references. out_of_range: more than kContextBytesMax.
Result<std::string> resolve_references(store::State& state, const std::string& input, const ResponseOwner& owner);

// One page of the items that a response was an answer to, earlier ones included, as the API lists them.
struct ItemPage {
  std::int64_t limit = 20;
  bool ascending = false;
  std::string after;
};
Result<std::string> list_input_items(store::State& state, const std::string& id, const ResponseOwner& owner,
                                     const ItemPage& page);

}  // namespace penstock::ext
