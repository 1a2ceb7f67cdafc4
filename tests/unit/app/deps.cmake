set(test_deps app)
