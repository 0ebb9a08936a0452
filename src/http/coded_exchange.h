// An exchange whose bodies may be coded on the wire (RFC 9110 section 8.4): a handler behind it reads a body without
// its codings and answers without one; what the client asked for is added here. Costs a plain request one look at a
// field when its body is read, and a small answer nothing.
#pragma once

#include "http/body_codec.h"
#include "http/exchange.h"

namespace penstock::http {

// How answers are compressed, as configured.
struct Compression {
  bool responses = true;
  std::uint64_t min_bytes = 2048;
  // In the order we prefer, when the client likes several as much.
  std::vector<codec::Coding> codings{codec::Coding::zstd, codec::Coding::br, codec::Coding::gzip,
                                     codec::Coding::deflate};
};

class CodedExchange : public Exchange {
 public:
  // All three must outlive the exchange.
  CodedExchange(Exchange& inner, BodyCodec& codec, const Compression& compression)
      : inner_(inner), codec_(codec), compression_(compression) {}

  // Errors beside those of the exchange below: unimplemented (a coding we do not know: answer 415), out_of_range also
  // for a body that grows beyond the limits of codec::DecodeLimits, invalid_argument also for malformed codings.
  rt::Task<Result<std::string_view>> read_body(std::uint64_t bytes_max) override;
  // As sent: a coded body is refused with unimplemented, because nobody could find anything in it.
  rt::Task<Result<std::string_view>> read_piece(std::uint64_t bytes_max) override;
  rt::Task<Result<void>> respond(ResponseHead head, std::string_view body) override;

  const Request& request() const override { return inner_.request(); }
  const Peer& peer() const override { return inner_.peer(); }
  rt::Loop& loop() override { return inner_.loop(); }
  base::SteadyTime started() const override { return inner_.started(); }
  void begin(ResponseHead head) override { inner_.begin(std::move(head)); }
  void append(std::string_view bytes) override { inner_.append(bytes); }
  rt::Task<Result<void>> write(std::string_view bytes) override { return inner_.write(bytes); }
  rt::Task<Result<void>> flush() override { return inner_.flush(); }
  rt::Task<Result<void>> finish() override { return inner_.finish(); }
  const Fields& trailers() const override { return inner_.trailers(); }
  void trailer(std::string_view name, std::string_view value) override { inner_.trailer(name, value); }
  void stop_reading() override { inner_.stop_reading(); }
  void abort() override { inner_.abort(); }
  bool begun() const override { return inner_.begun(); }
  bool can_upgrade() const override { return inner_.can_upgrade(); }
  rt::Task<Result<Upgraded>> upgrade(ResponseHead head) override { return inner_.upgrade(std::move(head)); }
  std::uint64_t bytes_sent() const override { return inner_.bytes_sent(); }
  bool draining() const override { return inner_.draining(); }
  void on_drain(std::function<void()> notify) override { inner_.on_drain(std::move(notify)); }
  bool client_gone() const override { return inner_.client_gone(); }
  void on_client_gone(std::function<void()> notify) override { inner_.on_client_gone(std::move(notify)); }

 private:
  static rt::Task<Result<std::string_view>> refuse_coded();
  rt::Task<Result<std::string_view>> read_coded(std::uint64_t bytes_max, std::string_view codings);
  rt::Task<Result<void>> respond_coded(ResponseHead head, std::string_view body, codec::Coding coding);

  Exchange& inner_;
  BodyCodec& codec_;
  const Compression& compression_;
  std::string decoded_;
};

}  // namespace penstock::http
