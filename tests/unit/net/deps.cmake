set(test_deps turn)
set(test_libs OpenSSL::SSL OpenSSL::Crypto)
