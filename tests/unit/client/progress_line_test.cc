#include "client/cli/progress_line.h"

#include <gtest/gtest.h>

namespace groupnorm::cli {
namespace {

TEST(CutToWidthTest, LeavesWhatFits) {
  EXPECT_EQ(CutToWidth("", 0), "");
  EXPECT_EQ(CutToWidth("reading x", 9), "reading x");
  EXPECT_EQ(CutToWidth("reading x", 80), "reading x");
}

TEST(CutToWidthTest, CutsOffWhatDoesNotFit) {
  EXPECT_EQ(CutToWidth("reading x", 8), "reading ");
  EXPECT_EQ(CutToWidth("reading x", 0), "");
}

TEST(CutToWidthTest, LeavesNoHalfCharacter) {
  const std::string text = "x\u00e9\u5b57";  // 1, 2 and 3 bytes.
  EXPECT_EQ(CutToWidth(text, 6), text);
  EXPECT_EQ(CutToWidth(text, 5), "x\u00e9");
  EXPECT_EQ(CutToWidth(text, 4), "x\u00e9");
  EXPECT_EQ(CutToWidth(text, 3), "x\u00e9");
  EXPECT_EQ(CutToWidth(text, 2), "x");
  EXPECT_EQ(CutToWidth(text, 1), "x");
  // Bytes that begin no character at all.
  EXPECT_EQ(CutToWidth("\x80\x80\x80", 2), "");
}

}  // namespace
}  // namespace groupnorm::cli
