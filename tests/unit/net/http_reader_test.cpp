// Requests out of bytes: the same ones however the bytes are cut, and what is no request.
#include "net/http_reader.h"

#include <gtest/gtest.h>

namespace tandem::net::test {
namespace {

struct Seen {
  std::vector<std::string> requests;  // "METHOD target body"
  std::optional<BadRequest> bad;
  bool operator==(const Seen&) const = default;
};

Seen feed(std::string_view stream, size_t piece, const HttpLimits& limits) {
  HttpReader reader(limits);
  Seen seen;
  for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
    reader.receive(stream.substr(0, piece));
    while (auto r = reader.pop())
      seen.requests.push_back(r->request.method + " " + r->request.target + " " + r->request.body);
  }
  seen.bad = reader.bad();
  return seen;
}

/// In one piece, and in pieces of every size, for the same result.
Seen read(std::string_view stream, const HttpLimits& limits = {}) {
  const Seen whole = feed(stream, stream.size(), limits);
  for (size_t piece = 1; piece < std::min<size_t>(stream.size(), 400); ++piece)
    EXPECT_EQ(feed(stream, piece, limits), whole) << "in pieces of " << piece;
  return whole;
}
std::string chunked(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
}
using Requests = std::vector<std::string>;

TEST(HttpReader, PipelinedRequestsComeInOrder) {
  const Seen seen = read(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
      "PUT /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;n=\"v\"\r\nabc\r\n0A \r\n0123456789"
      "\r\n0\r\nX: y\r\n\r\nGET /4 HTTP/1.0\r\n\r\nGET /5 HT");
  EXPECT_EQ(seen.requests, (Requests{"GET /1 ", "POST /2 abc", "PUT /3 abc0123456789", "GET /4 "}));
  EXPECT_FALSE(seen.bad);
}

TEST(HttpReader, KeepAliveAndVersionAreTold) {
  HttpReader reader({});
  reader.receive(
      "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.0\r\n\r\n"
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  for (const auto& [keep_alive, old] :
       {std::pair{true, false}, {false, false}, {false, true}, {true, true}}) {
    const auto r = reader.pop();
    ASSERT_TRUE(r);
    EXPECT_EQ(r->keep_alive, keep_alive);
    EXPECT_EQ(r->http_1_0, old);
  }
  EXPECT_FALSE(reader.pop());
}

TEST(HttpReader, TrailersAreNoHeaders) {
  HttpReader reader({});
  reader.receive(chunked("0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n"));
  const auto r = reader.pop();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->request.header("Authorization"), "");
  EXPECT_EQ(r->request.header("Host"), "x");
}

TEST(HttpReader, WhatIsNoRequestIsSoAtOnce) {
  for (const char* text :
       {"\x16\x03\x01", "\r\n", " GET / HTTP/1.1", "GET\t/", "OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "GET / HTTP/1.1\r\nX: a\x01\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"})
    EXPECT_EQ(read(text).bad, BadRequest::malformed) << text;
  EXPECT_FALSE(read(std::string(32, 'G')).bad);
  EXPECT_EQ(read(std::string(33, 'G')).bad, BadRequest::malformed);
}

TEST(HttpReader, AHeadIsAsLongAsTheLimitAllows) {
  const HttpLimits limits{.header_bytes = 100, .body_bytes = 10};
  const std::string start = "GET / HTTP/1.1\r\nX: ", end = "\r\n\r\n";
  const size_t room = limits.header_bytes - start.size() - end.size();
  EXPECT_EQ(read(start + std::string(room, 'x') + end, limits).requests.size(), 1u);
  EXPECT_EQ(read(start + std::string(room + 1, 'x') + end, limits).bad, BadRequest::head_too_large);
  std::string lines = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 20; ++i) lines += "X: yyy\r\n";
  EXPECT_EQ(read(lines, limits).bad, BadRequest::head_too_large) << "line by line";
}

TEST(HttpReader, ABodyIsAsLongAsTheLimitAllows) {
  const HttpLimits limits{.header_bytes = 100, .body_bytes = 10};
  const std::string start = "POST / HTTP/1.1\r\nContent-Length: ";
  EXPECT_EQ(read(start + "10\r\n\r\n0123456789", limits).requests.size(), 1u);
  EXPECT_EQ(read(start + "11\r\n\r\n", limits).bad, BadRequest::body_too_large);
  EXPECT_EQ(read(start + "18446744073709551615\r\n\r\n", limits).bad, BadRequest::body_too_large);
  EXPECT_EQ(read(chunked("5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n"), limits).requests.size(), 1u);
  EXPECT_EQ(read(chunked("5\r\nabcde\r\n6\r\n"), limits).bad, BadRequest::body_too_large);
  EXPECT_EQ(read(chunked("FFFFFFFFFFFFFFFF\r\n"), limits).bad, BadRequest::body_too_large);
}

TEST(HttpReader, WhatStandsBetweenChunksIsBounded) {
  const HttpLimits limits{.header_bytes = 100, .body_bytes = 1000};
  EXPECT_EQ(read(chunked("1;" + std::string(200, 'x')), limits).bad, BadRequest::head_too_large);
  EXPECT_EQ(read(chunked("0\r\nX: " + std::string(200, 'x')), limits).bad, BadRequest::head_too_large);
  EXPECT_EQ(read(chunked(std::string(17, '0')), limits).bad, BadRequest::malformed);
  std::string many;
  for (int i = 0; i < 60; ++i) many += "1;x\r\ny\r\n";
  EXPECT_EQ(read(chunked(many), limits).bad, BadRequest::head_too_large) << "all extensions together";
}

TEST(HttpReader, ChunksThatAreNone) {
  for (const char* body : {"\r\n", "x\r\n", "-1\r\n", "1\na\r\n", "1\r\nab", "1\r\na\n", "1\r\na\rb",
                           "1x\r\n", "1;\n", "0\r\nX: y\n", "0\r\n\rx", "1;a\x01"})
    EXPECT_EQ(read(chunked(body)).bad, BadRequest::malformed) << body;
}

TEST(HttpReader, CodingsOtherThanChunkedAreRefused) {
  const std::string start = "POST / HTTP/1.1\r\nTransfer-Encoding: ";
  // What follows would be a request of its own for us, and a body for the proxy before us, or the reverse.
  for (const char* rest : {"gzip\r\n\r\n", "gzip\r\nContent-Length: 3\r\n\r\nabc", "chunked, gzip\r\n\r\n",
                           "gzip, chunked\r\n\r\n", "gzip\r\nTransfer-Encoding: chunked\r\n\r\n", "\r\n\r\n"})
    EXPECT_EQ(read(start + rest).bad, BadRequest::coding) << rest;
  for (const char* rest :
       {"chunked\r\nContent-Length: 3\r\n\r\n", "chunked\r\nTransfer-Encoding: chunked\r\n\r\n"})
    EXPECT_EQ(read(start + rest).bad, BadRequest::malformed) << rest;
  EXPECT_EQ(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").bad,
            BadRequest::malformed);
  EXPECT_EQ(read(start + "Chunked\r\n\r\n0\r\n\r\n").requests.size(), 1u);
}

TEST(HttpReader, AClientThatWaitsForContinueIsToldOnce) {
  HttpReader reader({});
  reader.receive("PUT / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n");
  EXPECT_FALSE(reader.pop());
  EXPECT_FALSE(reader.take_expectation()) << "its head is not whole";
  reader.receive("\r\n");
  EXPECT_FALSE(reader.pop());
  EXPECT_TRUE(reader.take_expectation());
  EXPECT_FALSE(reader.take_expectation());
  reader.receive("abPUT / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(reader.pop());
  EXPECT_FALSE(reader.pop());
  EXPECT_FALSE(reader.take_expectation()) << "HTTP/1.0 has none";
}

TEST(HttpReader, TheRestIsUntouched) {
  HttpReader reader({});
  reader.receive("GET /sip HTTP/1.1\r\n\r\n\x81\x85 no HTTP any more");
  EXPECT_TRUE(reader.pop());
  EXPECT_EQ(reader.take_rest(), "\x81\x85 no HTTP any more");
  EXPECT_FALSE(reader.pop());
  EXPECT_FALSE(reader.bad());
}

TEST(HttpReader, AfterAFaultNothingIsKept) {
  HttpReader reader({});
  reader.receive("rubbish\r\n\r\n");
  EXPECT_FALSE(reader.pop());
  reader.receive("GET / HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(reader.pop());
  EXPECT_EQ(reader.take_rest(), "");
  for (size_t i = 0; i < static_cast<size_t>(BadRequest::count_); ++i)
    EXPECT_GE(answer_to(static_cast<BadRequest>(i)).status, 400u) << to_string(static_cast<BadRequest>(i));
}

}  // namespace
}  // namespace tandem::net::test
