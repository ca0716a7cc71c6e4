/* test_crypto.c -- engine/crypto and base/openssl.c. More vectors are in tests/lua/crypto_spec.lua;
 * here is what Lua cannot reach: memory that runs out, threads, and the TLS table. */
#include "base/alloc.h"
#include "base/openssl.h"
#include "crypto/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

static void *digest_often(void *ok) {
  uint8_t md[IZ_DIGEST_MAX];
  for (int i = 0; i < 200; i++) {
    if (!iz_digest(IZ_SHA256, "abc", 3, md, NULL) || memcmp(md, abc, 32)) return NULL;
  }
  return ok;
}

static void test_first_use_from_many_threads(void **state) {
  (void)state;
  pthread_t threads[4];
  int mark;
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, digest_often, &mark), 0);
  for (int i = 0; i < 4; i++) {
    void *result;
    pthread_join(threads[i], &result);
    assert_ptr_equal(result, &mark);
  }
}

static void test_sizes(void **state) {
  (void)state;
  static const char *const names[] = {"md5", "sha1", "sha256", "sha384", "sha512"};
  static const size_t sizes[] = {16, 20, 32, 48, 64};
  for (size_t i = 0; i < 5; i++) {
    iz_digest_alg alg;
    assert_true(iz_digest_find(names[i], &alg));
    assert_int_equal(iz_digest_size(alg), sizes[i]);
  }
  iz_digest_alg alg;
  assert_false(iz_digest_find("SHA256", &alg));
}

static void test_failed_allocation_is_an_error(void **state) {
  (void)state;
  iz_buf b = {0};
  iz_err err;
  iz_alloc_fail(1, 1);
  assert_false(iz_hex_encode(&b, "abc", 3));
  iz_buf_clear(&b);
  assert_false(iz_base64_encode(&b, "abc", 3));
  iz_buf_clear(&b);
  assert_false(iz_base64_decode(&b, "Zm9v", 4, &err));
  assert_string_equal(err.code, "oom");
  iz_buf_clear(&b);
  assert_false(iz_hex_decode(&b, "00", 2, &err));
  assert_string_equal(err.code, "oom");
  iz_alloc_fail(0, 0);
  iz_buf_free(&b);
}

static void test_tls_table_is_whole(void **state) {
  (void)state;
  iz_err err;
  const iz_libssl *tls = iz_libssl_load(&err);
  assert_non_null(tls);
  assert_ptr_equal(tls, iz_libssl_load(&err));
  SSL_CTX *ctx = tls->SSL_CTX_new(tls->TLS_server_method());
  assert_non_null(ctx);
  assert_int_equal(tls->SSL_CTX_use_certificate_chain_file(ctx, "/nonexistent"), 0);
  assert_false(iz_openssl_fail(&err, "certificate"));
  assert_string_equal(err.code, "openssl");
  assert_non_null(strstr(err.message, "certificate: error:"));
  assert_false(iz_openssl_fail(&err, "again"));
  assert_string_equal(err.message, "again: no reason given");
  SSL *ssl = tls->SSL_new(ctx);
  BIO *in = tls->BIO_new(tls->BIO_s_mem()), *out = tls->BIO_new(tls->BIO_s_mem());
  tls->SSL_set_bio(ssl, in, out);
  tls->SSL_set_accept_state(ssl);
  assert_int_equal(tls->BIO_write(in, "GET / HTTP/1.1\r\n\r\n", 18), 18);
  int r = tls->SSL_do_handshake(ssl); /* plain HTTP is no handshake */
  assert_int_equal(tls->SSL_get_error(ssl, r), 1 /* SSL_ERROR_SSL */);
  assert_false(iz_openssl_fail(&err, "handshake"));
  assert_non_null(strstr(err.message, "http request"));
  assert_int_equal(tls->BIO_ctrl_pending(out), 0);
  tls->SSL_free(ssl);
  tls->SSL_CTX_free(ctx);
}

static void test_equal(void **state) {
  (void)state;
  assert_true(iz_equal("", "", 0));
  assert_true(iz_equal("abc", "abc", 3));
  assert_false(iz_equal("abc", "abd", 3));
  assert_false(iz_equal("abc", "bbc", 3));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_use_from_many_threads),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_failed_allocation_is_an_error),
      cmocka_unit_test(test_tls_table_is_whole),
      cmocka_unit_test(test_equal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
