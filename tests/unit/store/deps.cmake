set(test_deps store_memory)
set(test_definitions TANDEM_BUILT_SOUNDS="${CMAKE_BINARY_DIR}/sounds")
set(test_needs prompts)
