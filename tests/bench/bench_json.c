/* bench_json.c -- iza.json against lua-cjson, both ways, on a 100 KB chat payload.
 *
 * The payload is what an LLM gateway sees: messages with ASCII, CJK and emoji text, escapes,
 * integer ids, floats and nested objects. Rounds alternate between the codecs; the ratio is the
 * median of the rounds' ratios, the values are medians.
 */
#include "base/buf.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int iz_open_json(lua_State *L);
int luaopen_cjson(lua_State *L);

#define ROUNDS 11
#define PER_ROUND 100

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void payload(iz_buf *b) {
  static const char *text[] = {
      "Please summarise the attached contract and list every clause that mentions liability.",
      "你好，请帮我把这份合同翻译成英文，并且指出其中对我们不利的条款。谢谢！",
      "ご注文ありがとうございます。納品は来週の火曜日を予定しております 🚚📦",
      "Sure! Here is a \\\"draft\\\":\\n\\n1. Scope\\n2. Price\\n3. Terms\\n\\nShall I go on? 🙂",
      "견적서를 검토했습니다. 금액은 부가세 별도이며, 납기는 2주입니다.",
      "The call returns nil, err when the file cannot be read; see err.code before you retry it."};
  iz_buf_adds(b, "{\"model\":\"fast\",\"temperature\":0.7,\"max_tokens\":4096,\"messages\":[");
  for (int i = 0; b->len < 100000; i++) {
    iz_buf_addf(b,
                "%s{\"id\":%d,\"role\":\"%s\",\"content\":\"%s\",\"created\":%d,\"logprob\":-0.%d,"
                "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"cached\":%s},"
                "\"tags\":[\"a%d\",\"order\"],\"score\":%d.25,\"parent\":null}",
                i ? "," : "", 100000 + i, i % 2 ? "assistant" : "user", text[i % 6], 1767225600 + i,
                35667494 + i * 7919, 120 + i, 40 + i % 17, i % 3 ? "true" : "false", i % 10, i);
  }
  iz_buf_adds(b, "]}");
}

/* Runs the function at index f on the value at index v; returns seconds a call. */
static double run(lua_State *L, int f, int v) {
  lua_gc(L, LUA_GCCOLLECT);
  double start = now();
  for (int i = 0; i < PER_ROUND; i++) {
    lua_pushvalue(L, f);
    lua_pushvalue(L, v);
    lua_call(L, 1, 1);
    lua_pop(L, 1);
  }
  return (now() - start) / PER_ROUND;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v) {
  qsort(v, ROUNDS, sizeof *v, ascending);
  return v[ROUNDS / 2];
}

static void compare(lua_State *L, const char *name, int ours, int theirs, int our_value,
                    int their_value, double bytes) {
  double a[ROUNDS], b[ROUNDS], r[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    double x, y;
    if (i % 2) {
      x = run(L, ours, our_value);
      y = run(L, theirs, their_value);
    } else {
      y = run(L, theirs, their_value);
      x = run(L, ours, our_value);
    }
    a[i] = bytes / x / 1e6;
    b[i] = bytes / y / 1e6;
    r[i] = y / x;
  }
  printf("bench json.%s %.0f MB/s | peer cjson %.0f | ratio %.2f\n", name, median(a), median(b),
         median(r));
}

int main(void) {
  lua_State *L = luaL_newstate();
  iz_buf text = {0};
  if (!L) return 1;
  luaL_openlibs(L);
  payload(&text);
  lua_pushlstring(L, text.data, text.len); /* 1 */
  luaL_requiref(L, "json", iz_open_json, 0);
  luaL_requiref(L, "cjson", luaopen_cjson, 0); /* 3 */
  lua_getfield(L, 2, "decode");
  lua_getfield(L, 3, "decode");
  lua_getfield(L, 2, "encode");
  lua_getfield(L, 3, "encode"); /* 7 */
  for (int i = 4; i <= 5; i++) {
    lua_pushvalue(L, i);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1); /* 8: our value, 9: theirs */
    if (lua_isnil(L, -1)) return 1;
  }
  compare(L, "decode", 4, 5, 1, 1, (double)text.len);
  compare(L, "encode", 6, 7, 8, 9, (double)text.len);
  iz_buf_free(&text);
  lua_close(L);
  return 0;
}
