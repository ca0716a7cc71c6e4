/* err.h -- one form for operational errors.
 *
 * A function that can fail returns bool (true = done) or a pointer (NULL = failed) and fills the
 * caller's iz_err. `code` is a short stable word a program can test ("timeout", "eof", "oom",
 * "invalid", "too_large", "refused", an errno name like "ENOENT"); `message` is one line for a
 * person: what was wrong, where, what to do. In Lua the same three fields become `nil, err`.
 */
#ifndef IZ_ERR_H
#define IZ_ERR_H

#include <stdbool.h>

typedef struct iz_err {
  char code[24];
  char message[488];
  bool retryable; /* true: the same call may succeed later */
} iz_err;

/* Fills err (may be NULL) and returns false, so that callers can `return iz_fail(err, ...)`. */
bool iz_fail(iz_err *err, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with errno's name as the code and its text behind the formatted part. */
bool iz_fail_errno(iz_err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "out of memory": formats nothing, allocates nothing. */
bool iz_fail_oom(iz_err *err);

#endif
