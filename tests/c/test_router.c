/* test_router.c -- engine/http/router.c and form.c. */
#include "base/alloc.h"
#include "http/form.h"
#include "http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const char *const patterns[] = {
    "GET /",
    "GET /orders",
    "POST /orders",
    "GET /orders/:id",
    "GET /orders/new",
    "DELETE /orders/:id",
    "GET /static/*path",
    "GET /a/:x/b",
    "GET /a/*rest",
    "ANY /any",
    "GET /orders/:id/items/:item",
};

static iz_router *make(void) {
  iz_router *r = iz_router_new();
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    iz_err err = {0};
    if (!iz_router_add(r, patterns[i], (int)i, &err)) fail_msg("%s", err.message);
  }
  return r;
}

/* "pattern name=value ..." or "404" or "405 <allow>". */
static void find(iz_router *r, iz_http_method method, const char *path, const char *want) {
  static iz_route out;
  char text[512];
  size_t n = 0;
  if (iz_router_find(r, method, path, strlen(path), &out)) {
    n += (size_t)snprintf(text, sizeof text, "%s", patterns[out.handler]);
    for (int i = 0; i < out.param_count; i++)
      n += (size_t)snprintf(text + n, sizeof text - n, " %s=%.*s", out.params[i].name,
                            (int)out.params[i].len, out.params[i].value);
  } else if (out.methods) {
    n = (size_t)snprintf(text, sizeof text, "405 ");
    iz_route_allow(out.methods, text + n, sizeof text - n);
  } else {
    snprintf(text, sizeof text, "404");
  }
  assert_string_equal(text, want);
}

static void test_finds(void **state) {
  (void)state;
  iz_router *r = make();
  find(r, IZ_HTTP_GET, "/", "GET /");
  find(r, IZ_HTTP_GET, "/orders", "GET /orders");
  find(r, IZ_HTTP_HEAD, "/orders", "GET /orders");
  find(r, IZ_HTTP_POST, "/orders", "POST /orders");
  find(r, IZ_HTTP_GET, "/orders/7", "GET /orders/:id id=7");
  find(r, IZ_HTTP_GET, "/orders/new", "GET /orders/new");
  find(r, IZ_HTTP_GET, "/orders/7/items/8", "GET /orders/:id/items/:item id=7 item=8");
  find(r, IZ_HTTP_PUT, "/any", "ANY /any");
  find(r, IZ_HTTP_GET, "/static/a/b.css", "GET /static/*path path=a/b.css");
  find(r, IZ_HTTP_GET, "/a/1/b", "GET /a/:x/b x=1");
  find(r, IZ_HTTP_GET, "/a/1/c", "GET /a/*rest rest=1/c");
  find(r, IZ_HTTP_GET, "/a/1", "GET /a/*rest rest=1");
  iz_router_free(r);
}

static void test_misses(void **state) {
  (void)state;
  iz_router *r = make();
  find(r, IZ_HTTP_GET, "/nothing", "404");
  find(r, IZ_HTTP_GET, "/orders/", "404");
  find(r, IZ_HTTP_GET, "//orders", "404");
  find(r, IZ_HTTP_GET, "/Orders", "404");
  find(r, IZ_HTTP_GET, "/static/", "404");
  find(r, IZ_HTTP_GET, "*", "404");
  find(r, IZ_HTTP_DELETE, "/orders", "405 GET, HEAD, POST, OPTIONS");
  find(r, IZ_HTTP_DELETE, "/orders/new", "DELETE /orders/:id id=new");
  find(r, IZ_HTTP_PUT, "/orders/7", "405 GET, HEAD, DELETE, OPTIONS");
  iz_router_free(r);
}

static void test_decodes(void **state) {
  (void)state;
  iz_router *r = make();
  find(r, IZ_HTTP_GET, "/%6frders/a%20b%2Fc", "GET /orders/:id id=a b/c");
  find(r, IZ_HTTP_GET, "/static/a%20b/c%2Bd", "GET /static/*path path=a b/c+d");
  find(r, IZ_HTTP_GET, "/orders%2f7", "404");
  iz_router_free(r);
}

static void test_long_paths(void **state) {
  (void)state;
  iz_router *r = make();
  char path[8192];
  memset(path, '/', sizeof path);
  path[sizeof path - 1] = 0;
  find(r, IZ_HTTP_GET, path, "404");
  memcpy(path, "/static/", 8);
  static iz_route out;
  assert_true(iz_router_find(r, IZ_HTTP_GET, path, sizeof path - 1, &out));
  assert_int_equal(out.params[0].len, sizeof path - 1 - 8);
  iz_router_free(r);
}

static void refuses(const char *pattern, const char *why) {
  iz_router *r = make();
  iz_err err = {0};
  assert_false(iz_router_add(r, pattern, 99, &err));
  if (!strstr(err.message, why)) fail_msg("%s: %s", pattern, err.message);
  iz_router_free(r);
}

static void test_refuses_patterns(void **state) {
  (void)state;
  refuses("/x", "unknown method");
  refuses("FETCH /x", "unknown method");
  refuses("GET x", "begin with /");
  refuses("GET /*all/x", "must be last");
  refuses("GET /:", "needs a name");
  refuses("GET /orders", "twice");
  refuses("GET /orders/:other/x", "differently");
  refuses("GET /a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
          "32 segments");
}

static void test_each_allocation_may_fail(void **state) {
  (void)state;
  for (uint64_t n = 1; n < 60; n++) {
    iz_alloc_fail(n, 0);
    iz_router *r = iz_router_new();
    for (size_t i = 0; r && i < sizeof patterns / sizeof *patterns; i++)
      iz_router_add(r, patterns[i], (int)i, NULL);
    iz_alloc_fail(0, 0);
    iz_router_free(r);
  }
}

static void test_forms(void **state) {
  (void)state;
  static const char form[] = "a=1&&b=%20+x&c&=d&e=%zz%4";
  static const char *const want[] = {"a=1", "b=  x", "c=", "=d", "e=%zz%4"};
  size_t at = 0, i = 0;
  iz_form_pair p;
  while (iz_form_next(form, sizeof form - 1, &at, &p)) {
    char text[64];
    size_t n = iz_http_decode(text, p.name, p.name_len, true);
    text[n++] = '=';
    n += iz_http_decode(text + n, p.value, p.value_len, true);
    text[n] = 0;
    assert_string_equal(text, want[i++]);
  }
  assert_int_equal(i, 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_finds),
      cmocka_unit_test(test_misses),
      cmocka_unit_test(test_decodes),
      cmocka_unit_test(test_long_paths),
      cmocka_unit_test(test_refuses_patterns),
      cmocka_unit_test(test_each_allocation_may_fail),
      cmocka_unit_test(test_forms),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
