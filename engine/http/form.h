/* form.h -- percent-decoding and application/x-www-form-urlencoded (WHATWG URL, section 5). */
#ifndef IZ_HTTP_FORM_H
#define IZ_HTTP_FORM_H

#include <stdbool.h>
#include <stddef.h>

/* Decodes "%XX" (and '+' to a blank when `plus`) from s into out, which has room for n bytes and
 * may be s itself. Malformed escapes stay as they are. Returns the length; the result may hold
 * NULs. */
size_t iz_http_decode(char *out, const char *s, size_t n, bool plus);

/* The next `name=value` of a form, still encoded; *at moves on. False at the end. Empty parts
 * between
 * '&' are passed over; without '=' the value is empty. */
typedef struct iz_form_pair {
  const char *name, *value;
  size_t name_len, value_len;
} iz_form_pair;
bool iz_form_next(const char *s, size_t n, size_t *at, iz_form_pair *pair);

#endif
