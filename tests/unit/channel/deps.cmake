set(test_deps store_memory)
