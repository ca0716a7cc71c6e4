/* json.h -- JSON (RFC 8259) on bytes: a pull reader with positions, and a writer on iz_buf.
 *
 * The reader hands out one token a call and keeps no tree, so the caller decides what a value
 * becomes. It is strict: UTF-8 is checked, lone surrogates, NaN, Infinity, hexadecimal, leading
 * zeros, comments, trailing commas, a byte order mark and anything behind the value are refused.
 * Nesting is a bit a level in the reader itself: no recursion, no allocation. Only a string with
 * escapes is copied (to `scratch`); others point into the input.
 *
 *   iz_buf scratch = {0};
 *   iz_json j;
 *   iz_json_begin(&j, text, n, IZ_JSON_DEPTH, &scratch);
 *   for (iz_json_type t; (t = iz_json_next(&j)) > IZ_JSON_END;) ...
 *   if (j.bad) iz_json_error(&j, &err);
 *   iz_buf_free(&scratch);
 */
#ifndef IZ_JSON_H
#define IZ_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define IZ_JSON_DEPTH 1000      /* levels of nesting unless told otherwise */
#define IZ_JSON_DEPTH_MAX 10000 /* the most that may be asked for */

typedef enum iz_json_type {
  IZ_JSON_ERROR, /* iz_json_error says why; every later call gives it again */
  IZ_JSON_END,   /* one whole value was read and nothing but white space is left */
  IZ_JSON_NULL,
  IZ_JSON_FALSE,
  IZ_JSON_TRUE,
  IZ_JSON_INT,    /* i: no fraction, no exponent, fits 64 bits */
  IZ_JSON_FLOAT,  /* f: finite; integers beyond 64 bits come as the nearest float */
  IZ_JSON_STRING, /* s, n: UTF-8 without NUL behind it; may contain NUL */
  IZ_JSON_KEY,    /* s, n: the value follows */
  IZ_JSON_ARRAY,
  IZ_JSON_ARRAY_END,
  IZ_JSON_OBJECT,
  IZ_JSON_OBJECT_END
} iz_json_type;

typedef struct iz_json {
  const char *s; /* of KEY and STRING; valid until the next call */
  size_t n;
  int64_t i;
  double f;
  unsigned depth;        /* open arrays and objects */
  bool in_object;        /* the innermost open one is an object */
  size_t line;           /* the number of the first line in messages; iz_json_begin sets 1 */
  const char *bad;       /* where reading failed; NULL while all is well */
  const char *expected;  /* what should have been there; NULL: memory ran out */
  const char *p, *start; /* private from here */
  const char *end;
  iz_buf *scratch;
  unsigned max_depth;
  int state;
  unsigned char nest[IZ_JSON_DEPTH_MAX / 8 + 1];
} iz_json;

/* Starts reading n bytes at s, which stay the caller's and unchanged while j is used. max_depth is
 * cut to IZ_JSON_DEPTH_MAX. `scratch` is the caller's: emptied and grown here, never freed. */
void iz_json_begin(iz_json *j, const char *s, size_t n, unsigned max_depth, iz_buf *scratch);
/* The next token. */
iz_json_type iz_json_next(iz_json *j);
/* After IZ_JSON_ERROR: fills err with code "invalid" and "LINE:COLUMN: expected X, found Y"
 * (columns count characters from 1), or with "oom"; returns false. */
bool iz_json_error(const iz_json *j, iz_err *err);

/* Appends s as a JSON string with its quotes; `/` and all but control characters, `"` and `\` stay
 * as they are. False when s is not UTF-8 or memory ran out (b->oom tells which). */
bool iz_json_put_string(iz_buf *b, const char *s, size_t n);
bool iz_json_put_int(iz_buf *b, int64_t i);
/* Appends the shortest digits that read back as the same double; it always looks like a float
 * ("1.0", "1e+30"). False for NaN and infinities, which JSON cannot say, or when memory ran out. */
bool iz_json_put_float(iz_buf *b, double f);

/* The double nearest to w * 10^q (-1 to 1 ulp never: exactly rounded); false when that takes more
 * than 128 bits to decide or is not a normal number: use strtod then. */
bool iz_json_scale(uint64_t w, int64_t q, double *out);

#endif
