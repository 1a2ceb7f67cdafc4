set(test_deps media rtp)
