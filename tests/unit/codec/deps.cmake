set(test_deps rtp)
