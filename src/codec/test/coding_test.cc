#include "codec/coding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::codec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::array kOffered{Coding::zstd, Coding::br, Coding::gzip};

TEST(ContentEncoding, ListsCodingsInTheOrderTheyWereApplied) {
  EXPECT_THAT(*parse_content_encoding("gzip"), ElementsAre(Coding::gzip));
  EXPECT_THAT(*parse_content_encoding("X-GZip"), ElementsAre(Coding::gzip));
  EXPECT_THAT(*parse_content_encoding(" br ,\tzstd "), ElementsAre(Coding::br, Coding::zstd));
  EXPECT_THAT(*parse_content_encoding("identity, deflate"), ElementsAre(Coding::deflate));
  EXPECT_THAT(*parse_content_encoding(""), IsEmpty());
  EXPECT_THAT(*parse_content_encoding("identity"), IsEmpty());
}

TEST(ContentEncoding, RefusesWhatIsUnknownOrStackedTooHigh) {
  for (std::string_view value : {"compress", "gzip, lzma", "gzip;q=1", "gzip gzip", "gzip, gzip, gzip"}) {
    auto codings = parse_content_encoding(value);
    ASSERT_FALSE(codings) << value;
    EXPECT_EQ(codings.error().code, Errc::unimplemented) << value;
  }
  EXPECT_THAT(parse_content_encoding("compress").error().detail, HasSubstr("gzip, deflate, br, zstd"));
}

struct Wish {
  std::string_view accept;
  Coding chosen;
};

class AcceptEncoding : public testing::TestWithParam<Wish> {};

TEST_P(AcceptEncoding, ChoosesByWeightAndThenByOurOrder) {
  EXPECT_EQ(negotiate(GetParam().accept, kOffered), GetParam().chosen) << GetParam().accept;
}

INSTANTIATE_TEST_SUITE_P(
    Rfc9110, AcceptEncoding,
    testing::Values(Wish{"", Coding::identity}, Wish{"gzip", Coding::gzip}, Wish{"x-gzip", Coding::gzip},
                    Wish{"gzip, deflate, br, zstd", Coding::zstd}, Wish{"GZIP, BR", Coding::br},
                    Wish{"gzip;q=1.0, br;q=0.5", Coding::gzip}, Wish{"br;q=0.5, gzip;q=0.5", Coding::br},
                    Wish{"*", Coding::zstd}, Wish{"*;q=0", Coding::identity}, Wish{"*;q=0.3, zstd;q=0", Coding::br},
                    Wish{"gzip;q=0", Coding::identity}, Wish{"gzip;q=0.000", Coding::identity},
                    Wish{"gzip;q=0.001", Coding::gzip}, Wish{"identity;q=0, gzip;q=0.1", Coding::gzip},
                    Wish{"identity;q=1, gzip;q=0.5", Coding::identity},
                    Wish{"identity;q=0.5, gzip;q=0.5", Coding::gzip}, Wish{"identity;q=0", Coding::identity},
                    Wish{"deflate", Coding::identity}, Wish{"gzip ; q=0.5 , br ; Q=0.4", Coding::gzip},
                    Wish{"gzip;q=2, br", Coding::br}, Wish{"gzip;q=0.1234", Coding::identity},
                    Wish{"gzip;q=x", Coding::identity}, Wish{"gzip;q=1.001", Coding::identity},
                    Wish{"gzip;q=", Coding::identity}, Wish{",,;,gzip", Coding::gzip},
                    Wish{"gzip;level=9", Coding::gzip}, Wish{"gzipped", Coding::identity}));

}  // namespace
}  // namespace penstock::codec
