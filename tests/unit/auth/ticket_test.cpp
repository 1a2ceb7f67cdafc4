#include "auth/ticket.h"

#include <gtest/gtest.h>

namespace tandem::auth {
namespace {

constexpr int64_t second = 1'000'000'000;
const WallTime now{1'800'000'000 * second};
const port::AddressOfRecord ann{"1001", "example.com"};
const std::array<uint8_t, 32> secret{1, 2, 3};
const TicketKey key = make_ticket_key(secret);

TEST(Ticket, IsGoodForOneSubscriberUntilItsTime) {
  const std::string ticket = make_ticket(key, ann, now + seconds(30));
  EXPECT_TRUE(is_ticket(ticket));
  EXPECT_TRUE(ticket_fits(key, ticket, ann, now));
  EXPECT_TRUE(ticket_fits(key, ticket, ann, now + seconds(29)));
  EXPECT_FALSE(ticket_fits(key, ticket, ann, now + seconds(30)));
  EXPECT_FALSE(ticket_fits(key, ticket, {"1002", "example.com"}, now));
  EXPECT_FALSE(ticket_fits(key, ticket, {"1001", "example.org"}, now));
}

TEST(Ticket, OfAnotherKeyOrChangedIsNone) {
  const std::string ticket = make_ticket(key, ann, now + seconds(30));
  const std::array<uint8_t, 32> other{1, 2, 4};
  EXPECT_FALSE(ticket_fits(make_ticket_key(other), ticket, ann, now));
  EXPECT_FALSE(
      ticket_fits(secret, make_ticket(key, ann, now + seconds(30)), ann, now));  // not the key itself
  for (size_t i = 0; i < ticket.size(); ++i) {
    std::string changed = ticket;
    changed[i] = changed[i] == '1' ? '2' : '1';
    EXPECT_FALSE(ticket_fits(key, changed, ann, now)) << changed;
    EXPECT_FALSE(ticket_fits(key, ticket.substr(0, i), ann, now)) << i;
  }
}

TEST(Ticket, RubbishIsNone) {
  for (const char* text :
       {"", "ticket", "ticket.", "ticket..", "ticket.1800000030", "ticket.1800000030.", "ticket.-1.x",
        "ticket.99999999999999999999.x", "ticket.18446744073709551615.x", "eyJhbGciOiJIUzI1NiJ9.e30.x"})
    EXPECT_FALSE(ticket_fits(key, text, ann, now)) << text;
  EXPECT_FALSE(is_ticket("eyJhbGciOiJIUzI1NiJ9.e30.x"));
  // A user cannot be named so that the time moves into him.
  EXPECT_FALSE(ticket_fits(key, make_ticket(key, {"1001", "example.com\n1"}, now + seconds(30)), ann, now));
}

}  // namespace
}  // namespace tandem::auth
