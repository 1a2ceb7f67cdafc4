// Whose is a message: read off the message alone, the same on every worker.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "node/ownership.h"

namespace tandem::node {
namespace {

class Ownership : public ::testing::Test {
 protected:
  Ownership() {
    port::PlanRows rows;
    port::DomainRow domain;
    domain.name = "example.com";
    domain.aliases = {"192.0.2.1", "sip.example.com"};
    rows.domains.push_back(domain);
    const std::vector<std::string> realms{"default"};
    plan = route::Plan::compile(rows, realms);
  }
  uint16_t shard(const std::string& start, const std::string& to,
                 const std::string& from = "<sip:bob@example.com>;tag=1", const std::string& call_id = "abc",
                 const std::string& branch = "z9hG4bKx") const {
    const std::string method = start.starts_with("SIP/2.0") ? "INVITE" : start.substr(0, start.find(' '));
    auto parsed = sip::Message::parse(
        Buffer::copy_of(start + "\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=" + branch + "\r\nFrom: " + from +
                        "\r\nTo: " + to + "\r\nCall-ID: " + call_id + "\r\nCSeq: 1 " + method +
                        "\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_TRUE(parsed.ok()) << start;
    return shard_of(*parsed, mint, *plan);
  }

  SeededRng rng{1};
  sip::TokenMint mint{{1, 2, 3}, 1, 1, rng};
  std::shared_ptr<const route::Plan> plan;
};

TEST_F(Ownership, AnAorIsItsUserUnescapedAtItsHostInLowerCase) {
  const auto uri = sip::Uri::parse("sip:%61lice@EXAMPLE.com:5070;transport=tcp");
  ASSERT_TRUE(uri.ok());
  EXPECT_EQ(aor_of(*uri), (port::AddressOfRecord{"alice", "example.com"}));
}

TEST_F(Ownership, ARegistrationBelongsToItsAorUnderEveryNameOfTheDomain) {
  const uint16_t wanted = shard_of(port::AddressOfRecord{"alice", "example.com"});
  EXPECT_EQ(shard("REGISTER sip:example.com SIP/2.0", "<sip:alice@example.com>"), wanted);
  EXPECT_EQ(shard("REGISTER sip:example.com SIP/2.0", "<sip:alice@192.0.2.1>", "<sip:x@y>;tag=2", "other"),
            wanted);
  EXPECT_EQ(shard("REGISTER sip:example.com SIP/2.0", "\"A\" <sip:alice@SIP.Example.Com:5061>"), wanted);
  EXPECT_NE(shard("REGISTER sip:example.com SIP/2.0", "<sip:bob@example.com>"), wanted);
}

TEST_F(Ownership, ARegistrationBelongsToItsAorWhateverItsTag) {
  const uint16_t wanted = shard_of(port::AddressOfRecord{"alice", "example.com"});
  const std::string start = "REGISTER sip:example.com SIP/2.0", to = "<sip:alice@example.com>;tag=";
  EXPECT_EQ(shard(start, to + "stranger", "<sip:b@c>;tag=1", "k"), wanted);
  EXPECT_EQ(shard(start, to + mint.mint(static_cast<uint16_t>((wanted + 1) % sip::shard_count))), wanted);
}

TEST_F(Ownership, ASubscriptionBelongsToWhomItWatches) {
  const uint16_t wanted = shard_of(port::AddressOfRecord{"alice", "example.com"});
  EXPECT_EQ(shard("SUBSCRIBE sip:alice@example.com SIP/2.0", "<sip:alice@example.com>"), wanted);
  EXPECT_EQ(shard("PUBLISH sip:alice@192.0.2.1 SIP/2.0", "<sip:alice@example.com>"), wanted);
}

TEST_F(Ownership, AMessageBelongsToWhomItIsFor) {
  const uint16_t wanted = shard_of(port::AddressOfRecord{"alice", "example.com"});
  EXPECT_EQ(shard("MESSAGE sip:alice@example.com SIP/2.0", "<sip:alice@example.com>", "<sip:b@c>;tag=1",
                  "some-call"),
            wanted);
  EXPECT_EQ(
      shard("MESSAGE sip:alice@192.0.2.1 SIP/2.0", "<sip:alice@example.com>", "<sip:b@c>;tag=1", "other"),
      wanted);
}

TEST_F(Ownership, ACallBelongsToItsCallId) {
  const uint16_t wanted = sip::shard_of("some-call");
  EXPECT_EQ(shard("INVITE sip:alice@example.com SIP/2.0", "<sip:alice@example.com>", "<sip:b@c>;tag=1",
                  "some-call"),
            wanted);
  EXPECT_EQ(shard("CANCEL sip:alice@example.com SIP/2.0", "<sip:alice@example.com>", "<sip:b@c>;tag=1",
                  "some-call"),
            wanted);
}

TEST_F(Ownership, WhatWeMintedLeadsBack) {
  EXPECT_EQ(shard("BYE sip:x@192.0.2.2 SIP/2.0", "<sip:alice@example.com>;tag=" + mint.mint(77)), 77);
  EXPECT_EQ(shard("SUBSCRIBE sip:x@192.0.2.2 SIP/2.0", "<sip:alice@example.com>;tag=" + mint.mint(78)), 78);
  EXPECT_EQ(shard("SIP/2.0 200 OK", "<sip:alice@example.com>;tag=theirs", "<sip:b@c>;tag=1", "abc",
                  mint.branch(79)),
            79);
}

TEST_F(Ownership, AForeignTagOrBranchFallsBackToTheCallId) {
  EXPECT_EQ(
      shard("BYE sip:x@192.0.2.2 SIP/2.0", "<sip:alice@example.com>;tag=stranger", "<sip:b@c>;tag=1", "k"),
      sip::shard_of("k"));
  EXPECT_EQ(shard("SIP/2.0 200 OK", "<sip:alice@example.com>;tag=x", "<sip:b@c>;tag=1", "k", "z9hG4bKtheirs"),
            sip::shard_of("k"));
}

TEST_F(Ownership, EveryShardHasOneWorker) {
  for (const uint16_t workers : {1, 2, 7, 64})
    for (uint32_t s = 0; s < sip::shard_count; s += 13)
      EXPECT_LT(sip::worker_of_shard(static_cast<uint16_t>(s), workers), workers);
}

}  // namespace
}  // namespace tandem::node
