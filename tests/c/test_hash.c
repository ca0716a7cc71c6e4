/* test_hash.c -- engine/base/hash.c: SipHash-1-3. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Key 00 01 .. 0f, messages 00 01 .. n-1, as the authors' test programs use them. */
static void test_known_hashes(void **state) {
  (void)state;
  static const struct {
    size_t n;
    uint64_t hash;
  } known[] = {
      {0, UINT64_C(0xabac0158050fc4dc)},  {1, UINT64_C(0xc9f49bf37d57ca93)},
      {7, UINT64_C(0xd3927d989bb11140)},  {8, UINT64_C(0x369095118d299a8e)},
      {15, UINT64_C(0xd320d86d2a519956)}, {16, UINT64_C(0xcc4fdd1a7d908b66)},
      {63, UINT64_C(0x9d199062b7bbb3a8)},
  };
  iz_hash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
  uint8_t message[64];
  for (size_t i = 0; i < sizeof message; i++) message[i] = (uint8_t)i;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    assert_int_equal(iz_hash64(&key, message, known[i].n), known[i].hash);
}

static void test_key_and_length_matter(void **state) {
  (void)state;
  iz_hash_key a = {1, 2}, b = {1, 3};
  assert_true(iz_hash64(&a, "x", 1) != iz_hash64(&b, "x", 1));
  assert_true(iz_hash64(&a, "\0", 1) != iz_hash64(&a, "\0\0", 2));
}

static void test_process_key_stays(void **state) {
  (void)state;
  const iz_hash_key *key = iz_hash_process_key();
  assert_true(key->k0 != 0 || key->k1 != 0);
  assert_ptr_equal(key, iz_hash_process_key());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_hashes),
      cmocka_unit_test(test_key_and_length_matter),
      cmocka_unit_test(test_process_key_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
