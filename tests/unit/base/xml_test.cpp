// Text into markup, and elements out of it.
#include "base/xml.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(Xml, EscapesMarkupAndDropsWhatXmlCannotHold) {
  EXPECT_EQ(xml_escape("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&apos;");
  EXPECT_EQ(xml_escape(std::string_view("a\0\x01\n\x7f"
                                        "b",
                                        6)),
            "ab");
  EXPECT_EQ(xml_escape("J\xc3\xa4s \xe2\x82\xac \xf0\x9f\x98\x80"),
            "J\xc3\xa4s \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(xml_escape("x\xc3"), "x");                    // cut off
  EXPECT_EQ(xml_escape("\xc0\xaf\xed\xa0\x80\xf5"), "");  // overlong, surrogate, out of range
}

TEST(Xml, TheEscapedComesBack) {
  EXPECT_EQ(xml_unescape("a&lt;b&gt;&amp;&quot;c&apos;"), "a<b>&\"c'");
  EXPECT_EQ(xml_unescape("&nbsp;&#65;&am&lt"), "&nbsp;&#65;&am&lt");
  EXPECT_EQ(xml_unescape("&amp;lt;"), "&lt;") << "once";
}

std::string walk(std::string_view document) {
  std::string out;
  for (XmlElements e(document); e.next();)
    out.append(e.parent()).append("/").append(e.name()).append("=").append(e.text()).append(" ");
  return out;
}

TEST(Xml, ElementsComeWithTheirParents) {
  EXPECT_EQ(walk("<?xml version='1.0'?><a x='>'><p:b>one</p:b><!-- <no> --><c/><d>two<e/>three</d></a>"),
            "/a= a/b=one a/c= a/d=two d/e= ");
}

TEST(Xml, BadMarkupYieldsLess) {
  for (const char* bad : {"", "text", "<", "<a", "<a x='>", "</a></b>", "<!-- <a>", "<!DOCTYPE a>"})
    EXPECT_EQ(walk(bad), "") << bad;
  EXPECT_EQ(walk("<a></b></c><d>"), "/a= /d= ");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<a>";
  deep += "</a><b>";
  XmlElements e(deep);
  size_t n = 0;
  while (e.next()) ++n;
  EXPECT_EQ(n, XmlElements::max_depth);
}

}  // namespace
}  // namespace tandem
