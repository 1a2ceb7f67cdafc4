set(test_libs OpenSSL::Crypto)
