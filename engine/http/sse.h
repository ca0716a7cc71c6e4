/* sse.h -- reading server-sent events as they arrive.
 *
 * The event stream format of the WHATWG HTML standard (9.2.5, 9.2.6): feed it bytes split anywhere,
 * get one event at a time. One difference: bytes that are not UTF-8 are passed on, not replaced.
 * An event the stream ends in the middle of is dropped, as the standard says.
 */
#ifndef IZ_SSE_H
#define IZ_SSE_H

#include "base/buf.h"

#include <stdint.h>

typedef struct iz_sse {
  size_t max;                    /* bytes of one event or line */
  iz_buf line, data, type, id;   /* the reader's; the event is read by iz_sse_event_of */
  int64_t retry_ms;              /* the last reconnection time the stream asked for; -1 = none */
  bool begun, skip_lf, is_ready; /* the reader's */
} iz_sse;

typedef struct iz_sse_event {
  const char *type, *data, *id; /* type "" stands for "message"; id: the last one the stream set */
  size_t type_len, data_len, id_len;
  int64_t retry_ms;
} iz_sse_event;

enum iz_sse_result {
  IZ_SSE_MORE,      /* all bytes are used up; no event is complete */
  IZ_SSE_EVENT,     /* an event is complete; call again with the bytes behind *used */
  IZ_SSE_TOO_LARGE, /* a line or event is over `max`; nothing more can be read */
  IZ_SSE_OOM,
};

/* `max`: the largest line or event accepted, in bytes. */
void iz_sse_init(iz_sse *s, size_t max);
void iz_sse_free(iz_sse *s);
/* Reads up to the end of the next event; *used is how many of the n bytes that took. */
enum iz_sse_result iz_sse_feed(iz_sse *s, const char *p, size_t n, size_t *used);
/* The complete event; its memory is valid until the next feed. */
iz_sse_event iz_sse_event_of(const iz_sse *s);

#endif
