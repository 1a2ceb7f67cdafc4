set(test_libs OpenSSL::SSL OpenSSL::Crypto)
