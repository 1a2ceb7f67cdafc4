set(test_libs PkgConfig::SRTP2 OpenSSL::Crypto)
