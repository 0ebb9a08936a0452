// One body on its way from a client to a provider, in pieces: a form that names its model, or anything unread.
#pragma once

#include "llm/form_model.h"
#include "llm/pass_through.h"

namespace penstock::llm {

// How much of a form is held while it is not known yet which model it is for. The file often comes before the name.
constexpr std::size_t kHeldBytesMax = 32U << 20;
// A form up to here is taken whole, so that it can be sent again or elsewhere when a provider fails.
constexpr std::uint64_t kWholeBytesMax = 256 * 1024;

class Upload {
 public:
  // `form` null: the body names no model.
  Upload(flow::Call& call, FormModel* form) : call_(call), form_(form) {}

  // Reads until the form has named its model. Errors: those of read_piece(), invalid_argument, out_of_range.
  rt::Task<Result<void>> read_model();
  // Sends what is held and what follows. The error is a failure that the client must hear of; after a success the head
  // of the answer is there.
  rt::Task<PassThrough::Outcome> send(PassThrough& passage, std::string_view asked);
  // Bytes of the body as its head says; 0: it does not.
  std::uint64_t declared() const;
  // The client's own mistake ended the upload: the failure is no news about the provider.
  bool client_failed() const { return client_failed_; }
  const Error& client_error() const { return client_error_; }

 private:
  rt::Task<Result<bool>> read_more();
  rt::Task<Result<void>> read_small();
  rt::Task<PassThrough::Outcome> send_rest(PassThrough& passage);
  PassThrough::Outcome blame_client(Error error);
  std::string held_for(std::string_view model) const;
  std::string take_settled(std::string_view model);
  std::optional<std::uint64_t> length_for(std::string_view model) const;

  flow::Call& call_;
  FormModel* form_;
  std::string held_;           // of the form, not sent yet
  std::uint64_t held_at_ = 0;  // where it starts in the form
  bool ended_ = false;         // all of the form was read
  bool renamed_ = false;       // the name of the model went out
  bool client_failed_ = false;
  Error client_error_;
  std::string_view asked_;
};

}  // namespace penstock::llm
