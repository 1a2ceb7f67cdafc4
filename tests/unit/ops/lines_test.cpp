// What leaves for people and collectors: metrics, log lines, traces, captures, and what is removed first.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "ops/hep.h"
#include "ops/json_rows.h"
#include "ops/log.h"
#include "ops/metrics.h"
#include "ops/redact.h"

namespace tandem::ops {
namespace {

constexpr WallTime noon{1'795'435'200'123'000'000};  // 2026-11-23T12:00:00.123Z

// ---- metrics ---------------------------------------------------------------------------------------------

TEST(Metrics, EachFamilyOnceWithTheLabelsOfItsSources) {
  CounterSet a, b, store;
  a.counter("call_started_total", "INVITEs that became a call").add(3);
  b.counter("call_started_total", "INVITEs that became a call").add(4);
  a.counter("refused_total", "Refused", "reason=\"full\"").add();
  store.gauge("queued", "Waiting\nhere").set(9);
  EXPECT_EQ(prometheus_text({{"worker=\"0\"", &a}, {"worker=\"1\"", &b}, {"", &store}}),
            "# HELP tandem_call_started_total INVITEs that became a call\n"
            "# TYPE tandem_call_started_total counter\n"
            "tandem_call_started_total{worker=\"0\"} 3\n"
            "tandem_call_started_total{worker=\"1\"} 4\n"
            "# HELP tandem_queued Waiting\\nhere\n"
            "# TYPE tandem_queued gauge\n"
            "tandem_queued 9\n"
            "# HELP tandem_refused_total Refused\n"
            "# TYPE tandem_refused_total counter\n"
            "tandem_refused_total{worker=\"0\",reason=\"full\"} 1\n");
}

// ---- redaction -------------------------------------------------------------------------------------------

TEST(Redact, TakesCredentialsOutAndLeavesTheRest) {
  const std::string message =
      "REGISTER sip:example.com SIP/2.0\r\n"
      "authorization : Digest username=\"1001\",\r\n"
      " response=\"deadbeef\"\r\n"
      "Proxy-Authorization: Digest response=\"cafe\"\r\n"
      "Call-ID: a\r\n"
      "\r\n"
      "v=0\r\n"
      "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRETKEY\r\n"
      "k=base64:SECRET\r\n"
      "a=ptime:20\r\n";
  EXPECT_EQ(redact_sip(message),
            "REGISTER sip:example.com SIP/2.0\r\n"
            "authorization : <removed>\r\n"
            "Proxy-Authorization: <removed>\r\n"
            "Call-ID: a\r\n"
            "\r\n"
            "v=0\r\n"
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 <removed>\r\n"
            "k=<removed>\r\n"
            "a=ptime:20\r\n");
}

TEST(Redact, NothingSecretNothingChanged) {
  for (const char* text :
       {"", "\r\n\r\n", "OPTIONS sip:a SIP/2.0\r\nVia: x\r\n", "no line end", "\n folded first"})
    EXPECT_EQ(redact_sip(text), text);
}

TEST(Redact, NumbersAreShortenedNamesAreNot) {
  for (const char* whole : {"", "1001", "123456", "*43", "alice", "alice1234567@example.com"})
    EXPECT_EQ(shorten_number(whole), whole);
  const std::string shortened = shorten_number("+49301234567");
  EXPECT_EQ(shortened.find("1234567"), std::string::npos);
  EXPECT_TRUE(shortened.starts_with("+49"));
  EXPECT_TRUE(shortened.ends_with("67"));
  EXPECT_NE(shortened.find("***"), std::string::npos);
}

// ---- log lines -------------------------------------------------------------------------------------------

TEST(Log, ATextLine) {
  const port::Event e{port::Level::notice,
                      "call.started",
                      7,
                      {{"from", "1001"}, {"to", "+49301234567"}, {"why", "two words"}}};
  const std::string line = format_event(e, noon, LogFormat::text, "worker-0");
  EXPECT_TRUE(line.starts_with("2026-11-23T12:00:00.123Z notice  call.started call=7 from=1001 to=+49"))
      << line;
  EXPECT_EQ(line.find("301234567"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with(" why=\"two words\" [worker-0]")) << line;
}

TEST(Log, AFieldCannotForgeALine) {
  const port::Event e{port::Level::info, "call.failed", 0, {{"why", "a\r\nerror forged=\"1\" \x1b[31m"}}};
  const std::string line = format_event(e, noon, LogFormat::text, "");
  EXPECT_EQ(line.find_first_of("\r\n\x1b"), std::string::npos);
  EXPECT_NE(line.find("why=\"a\\x0d\\x0aerror forged=\\\"1\\\" \\x1b[31m\""), std::string::npos) << line;
  EXPECT_EQ(line.find("call="), std::string::npos);
}

TEST(Log, AJsonLineIsJson) {
  const port::Event e{
      port::Level::error, "store.failing", 9, {{"reason", "a \"b\"\n"}, {"callee", "+49301234567"}}};
  const auto line = boost::json::parse(format_event(e, noon, LogFormat::json, "store")).as_object();
  EXPECT_EQ(line.at("time").as_string(), "2026-11-23T12:00:00.123Z");
  EXPECT_EQ(line.at("level").as_string(), "error");
  EXPECT_EQ(line.at("event").as_string(), "store.failing");
  EXPECT_EQ(line.at("call").as_string(), "9");
  EXPECT_EQ(line.at("reason").as_string(), "a \"b\"\n");
  EXPECT_EQ(line.at("source").as_string(), "store");
  EXPECT_NE(line.at("callee").as_string(), "+49301234567");
}

TEST(Log, LevelsByName) {
  EXPECT_EQ(level_from("debug"), port::Level::debug);
  EXPECT_EQ(level_from("error"), port::Level::error);
  EXPECT_EQ(level_from("no such level"), port::Level::info);
}

port::SipTrace trace_of(std::string_view message) {
  port::SipTrace t;
  t.outbound = true;
  t.path.remote = *SocketAddress::parse("192.0.2.9:5060");
  t.path.local = *SocketAddress::parse("192.0.2.1:5060");
  t.time = noon;
  t.bytes = Buffer::copy_of(message);
  return t;
}

TEST(Trace, IsIndentedCleanAndWithoutCredentials) {
  const std::string text = format_trace(
      trace_of("BYE sip:a SIP/2.0\r\nAuthorization: Digest x\r\nX: \x1b[2J\r\n\r\n"), LogFormat::text);
  EXPECT_EQ(text,
            "2026-11-23T12:00:00.123Z sent UDP to 192.0.2.9:5060\n"
            "    BYE sip:a SIP/2.0\n"
            "    Authorization: <removed>\n"
            "    X: \\x1b[2J\n"
            "    ");
  const auto line =
      boost::json::parse(format_trace(trace_of("BYE sip:a SIP/2.0\r\n\r\n"), LogFormat::json)).as_object();
  EXPECT_EQ(line.at("direction").as_string(), "sent");
  EXPECT_EQ(line.at("message").as_string(), "BYE sip:a SIP/2.0\r\n\r\n");
}

// ---- HEP3 ------------------------------------------------------------------------------------------------

HepPacket packet() {
  HepPacket p;
  p.source = *SocketAddress::parse("192.0.2.1:5060");
  p.destination = *SocketAddress::parse("192.0.2.9:5070");
  p.time = WallTime{1'000'000'002'000'000'000 + 5000};
  p.capture_id = 0x01020304;
  p.payload = "SIP";
  return p;
}

TEST(Hep, BytesAsInTheSpecification) {
  const std::string expected = std::string("HEP3") + std::string("\x00\x66", 2) +
                               std::string("\x00\x00\x00\x01\x00\x07\x02", 7) +               // family: IPv4
                               std::string("\x00\x00\x00\x02\x00\x07\x11", 7) +               // protocol: UDP
                               std::string("\x00\x00\x00\x03\x00\x0a\xc0\x00\x02\x01", 10) +  // source
                               std::string("\x00\x00\x00\x04\x00\x0a\xc0\x00\x02\x09", 10) +  // destination
                               std::string("\x00\x00\x00\x07\x00\x08\x13\xc4", 8) +           // 5060
                               std::string("\x00\x00\x00\x08\x00\x08\x13\xce", 8) +           // 5070
                               std::string("\x00\x00\x00\x09\x00\x0a\x3b\x9a\xca\x02", 10) +  // 1000000002 s
                               std::string("\x00\x00\x00\x0a\x00\x0a\x00\x00\x00\x05", 10) +  // 5 us
                               std::string("\x00\x00\x00\x0b\x00\x07\x01", 7) +               // SIP
                               std::string("\x00\x00\x00\x0c\x00\x0a\x01\x02\x03\x04", 10) +  // capture agent
                               std::string("\x00\x00\x00\x0f\x00\x09SIP", 9);
  const std::string got = encode_hep3(packet());
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(got, expected);
}

TEST(Hep, OptionalChunksAndIpv6) {
  HepPacket p = packet();
  p.source.ip = *IpAddress::parse("2001:db8::1");
  p.destination.ip = *IpAddress::parse("2001:db8::2");
  p.transport = port::Transport::tls;
  p.password = "pw";
  p.correlation_id = "call-1";
  const std::string got = encode_hep3(p);
  EXPECT_EQ(static_cast<uint8_t>(got[4]) * 256U + static_cast<uint8_t>(got[5]), got.size());
  EXPECT_NE(got.find(std::string("\x00\x00\x00\x05\x00\x16\x20\x01\x0d\xb8", 10)), std::string::npos);
  EXPECT_NE(got.find(std::string("\x00\x00\x00\x0e\x00\x08pw", 8)), std::string::npos);
  EXPECT_NE(got.find(std::string("\x00\x00\x00\x11\x00\x0c", 6) + "call-1"), std::string::npos);
  EXPECT_NE(got.find(std::string("\x00\x00\x00\x02\x00\x07\x06", 7)),
            std::string::npos);  // a stream is TCP to HEP
}

// ---- times -----------------------------------------------------------------------------------------------

TEST(Rfc3339, ThereAndBack) {
  EXPECT_EQ(to_rfc3339(WallTime{}), "");
  EXPECT_EQ(to_rfc3339(noon), "2026-11-23T12:00:00.123Z");
  for (const char* text : {"1970-01-02T00:00:00.000Z", "2000-02-29T23:59:59.999Z", "2024-12-31T00:00:00.001Z",
                           "2261-01-01T00:00:00.000Z"}) {
    const auto t = from_rfc3339(text);
    ASSERT_TRUE(t) << text;
    EXPECT_EQ(to_rfc3339(*t), text);
  }
  EXPECT_EQ(from_rfc3339("2026-11-23T12:00:00"), from_rfc3339("2026-11-23T12:00:00Z"));
  EXPECT_EQ(from_rfc3339("2026-11-23"), from_rfc3339("2026-11-23T00:00:00Z"));
  EXPECT_EQ(from_rfc3339("2026-11-23T12:00:00.123456789999Z")->ns,
            from_rfc3339("2026-11-23T12:00:00.123456789Z")->ns);
}

TEST(Rfc3339, RefusesTheRest) {
  for (const char* text : {"", "yesterday", "2026-13-01", "2026-00-01", "2026-01-32", "2026-01-01T24:00:00Z",
                           "2026-01-01T00:60:00Z", "2026-01-01 00:00:00", "2026-01-01T00:00:00+01:00",
                           "2026-01-01T00:00", "9999-01-01", "0001-01-01", "2026-1-1"})
    EXPECT_FALSE(from_rfc3339(text)) << text;
}

}  // namespace
}  // namespace tandem::ops
