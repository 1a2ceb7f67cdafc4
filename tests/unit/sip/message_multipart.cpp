// Bodies of several parts, and the answer to what could not be parsed.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sip/multipart.h"
#include "sip/refuse.h"

namespace tandem::sip {
namespace {

std::string message(std::string_view type, std::string_view body) {
  return "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: "
         "<sip:c@d>\r\n"
         "Call-ID: i\r\nCSeq: 1 MESSAGE\r\nContent-Type: " +
         std::string(type) + "\r\n\r\n" + std::string(body);
}
Result<std::optional<std::string>, Reason> sdp_of(std::string_view type, std::string_view body,
                                                  const Limits& limits = {}) {
  auto m = Message::parse(Buffer::copy_of(message(type, body)));
  if (!m) return Failure<Reason>{m.reason()};
  const auto found = find_body(*m, "application/sdp", limits);
  if (!found) return Failure<Reason>{found.reason()};
  return *found ? std::optional(std::string(as_text(**found))) : std::nullopt;
}

TEST(Multipart, FindsABody) {
  EXPECT_EQ(*sdp_of("application/SDP;x=y", "v=0"), "v=0");
  EXPECT_EQ(*sdp_of("text/plain", "v=0"), std::nullopt);
  const std::string two =
      "preamble\r\n--b\r\n\r\nplain text\r\n--b  \r\nContent-Type: application/sdp\r\nContent-ID: "
      "<x>\r\n\r\nv=0\r\n\r\n--b--\r\nend";
  EXPECT_EQ(*sdp_of("multipart/mixed; boundary=\"b\"", two), "v=0\r\n");
  const std::string nested =
      "--o\r\nContent-Type: multipart/alternative;boundary=b\r\n\r\n" + two + "\r\n--o--";
  EXPECT_EQ(*sdp_of("multipart/mixed;boundary=o", nested), "v=0\r\n");
}

TEST(Multipart, ListsPartsWithTheirTypes) {
  std::vector<std::string> seen;
  const std::string body =
      "--b\r\n\r\n\r\n--b\r\nContent-Disposition: render\r\nContent-Type: a/b;c=d\r\n\r\n-bx --b\r\n--b--";
  EXPECT_TRUE(for_each_part("m/m;boundary=b", as_bytes(body), [&](const BodyPart& p) {
    seen.push_back(std::string(p.content_type) + "|" + std::string(p.content_disposition) + "|" +
                   std::string(as_text(p.body)));
  }));
  EXPECT_EQ(seen, (std::vector<std::string>{"text/plain||", "a/b|render|-bx --b"}));
}

TEST(Multipart, RefusesWhatHasNoEnd) {
  const auto fault = [](std::string_view type, std::string_view body) {
    const auto r = sdp_of(type, body);
    return r ? Reason::count_ : r.reason();
  };
  EXPECT_EQ(fault("multipart/mixed", "--b\r\n\r\nx\r\n--b--"), Reason::bad_multipart);
  EXPECT_EQ(fault("multipart/mixed;boundary=", "--b\r\n\r\nx\r\n--b--"), Reason::bad_multipart);
  EXPECT_EQ(fault("multipart/mixed;boundary=" + std::string(71, 'b'), "x"), Reason::bad_multipart);
  EXPECT_EQ(fault("multipart/mixed;boundary=b", ""), Reason::bad_multipart);
  EXPECT_EQ(fault("multipart/mixed;boundary=b", "--b\r\n\r\nx"), Reason::bad_multipart);
  EXPECT_EQ(fault("multipart/mixed;boundary=b", "--b\r\nno colon\r\n\r\nx\r\n--b--"), Reason::bad_multipart);
  EXPECT_EQ(fault("multipart/mixed;boundary=b", "--b"), Reason::bad_multipart);
}

TEST(Multipart, NestsOnlySoDeep) {
  std::string body = "--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--";
  std::string type = "multipart/mixed;boundary=x";
  for (int i = 1; i < 8; ++i) {
    const std::string b = "b" + std::string(static_cast<size_t>(i), 'y');
    body = "--" + b + "\r\nContent-Type: " + type + "\r\n\r\n" + body + "\r\n--" + b + "--";
    type = "multipart/mixed;boundary=" + b;
  }
  EXPECT_EQ(*sdp_of(type, body), "v=0");
  Limits limits;
  limits.nesting = 7;
  EXPECT_EQ(sdp_of(type, body, limits).reason(), Reason::nested_too_deep);
}

const SocketAddress source = *SocketAddress::parse("192.0.2.7:5062");

std::string answer(const std::string& text, Reason why) {
  const auto b = refuse_malformed(as_bytes(text), why, source, "t1");
  return b ? std::string(b->text()) : std::string();
}

TEST(Refuse, AnswersWhatCanBeAnswered) {
  std::string broken = message("text/plain", "x");
  EXPECT_EQ(answer(broken, Reason::bad_cseq),
            "SIP/2.0 400 bad_cseq\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx;received=192.0.2.7\r\nFrom: "
            "<sip:a@b>;tag=1\r\n"
            "To: <sip:c@d>;tag=t1\r\nCall-ID: i\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(answer("\r\n" + broken, Reason::bad_version).substr(0, 12), "SIP/2.0 505 ");
  EXPECT_EQ(answer(broken, Reason::too_large).substr(0, 12), "SIP/2.0 513 ");
  EXPECT_EQ(answer("SIP/2.0 200 OK" + broken.substr(broken.find("\r\n")), Reason::bad_status), "");
  EXPECT_EQ(answer("ACK sip:a@b SIP/2.0" + broken.substr(broken.find("\r\n")), Reason::bad_cseq), "");
  EXPECT_EQ(answer("garbage", Reason::bad_start_line), "");
  EXPECT_EQ(answer(broken.replace(broken.find("Call-ID"), 7, "Fall-ID"), Reason::missing_header), "");
}

TEST(Refuse, BufferSurvivesARefusedParse) {
  Buffer bytes = Buffer::copy_of("SIP/2.0 200 OK\r\n\r\n");
  EXPECT_FALSE(Message::parse_from(bytes));
  EXPECT_EQ(bytes.text(), "SIP/2.0 200 OK\r\n\r\n");
}

}  // namespace
}  // namespace tandem::sip
