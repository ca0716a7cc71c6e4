/* parser.h -- a strict, incremental HTTP/1.1 request parser (RFC 9112, RFC 9110).
 *
 * It pulls: the owner hands it whatever bytes there are and gets one event back, together with how
 * many bytes that took. How the bytes were cut into reads never changes the events. Whatever two
 * parsers on a path could read differently (Content-Length beside Transfer-Encoding, bare LF,
 * folded lines, a space before the colon, signs in lengths, a second Host) is refused, never
 * repaired: that is what request smuggling lives on. Trailer fields are checked and dropped.
 *
 * The head of a request lies in one growing buffer: texts with a NUL behind each, and fields as
 * offsets into it. Both are kept when the struct is used for the next request, so a connection in
 * steady state allocates nothing. The parser keeps no body bytes: a DATA event is a part of the
 * input.
 */
#ifndef IZ_HTTP_PARSER_H
#define IZ_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  IZ_HTTP_HEAD_MAX = 16 * 1024, /* bytes of request line and fields, by default */
  IZ_HTTP_HEAD_CAP = 48 * 1024, /* and what it can be raised to: offsets are 16 bits */
  IZ_HTTP_FIELDS_MAX = 100,
  IZ_HTTP_URL_MAX = 8 * 1024,
  IZ_HTTP_CHUNK_EXT_MAX = 256,    /* bytes of extensions of one chunk */
  IZ_HTTP_BODY_MAX = 1024 * 1024, /* by default */
};

typedef enum iz_http_method {
  IZ_HTTP_GET,
  IZ_HTTP_HEAD,
  IZ_HTTP_POST,
  IZ_HTTP_PUT,
  IZ_HTTP_PATCH,
  IZ_HTTP_DELETE,
  IZ_HTTP_OPTIONS,
  IZ_HTTP_OTHER, /* a token we do not serve: 501 */
} iz_http_method;

/* A place in iz_http_head.text. */
typedef struct iz_http_span {
  uint16_t at, len;
} iz_http_span;

typedef struct iz_http_field {
  iz_http_span name; /* in lower case */
  iz_http_span value;
} iz_http_field;

typedef struct iz_http_head {
  char *text; /* every text in it has a NUL behind it, except path (a `?` or NUL follows) */
  iz_http_field *fields;
  uint32_t text_len, text_cap;
  uint16_t field_count, field_cap;
  iz_http_span method_name, target;
  iz_http_span path;  /* as sent: percent-encoded; begins with '/', or is "*" */
  iz_http_span query; /* behind the '?'; empty when there is none */
  iz_http_span host;  /* from the absolute target, else from Host; empty only with HTTP/1.0 */
  iz_http_method method;
  uint8_t minor;          /* HTTP/1.minor: 0 or 1 */
  bool keep_alive;        /* the client allows another request */
  bool expect_continue;   /* it waits for 100 Continue */
  bool chunked;           /* the body comes in chunks */
  int64_t content_length; /* bytes of body; -1 when chunked */
} iz_http_head;

typedef enum iz_http_event {
  IZ_HTTP_MORE,   /* all input taken, no event yet */
  IZ_HTTP_HEADED, /* the head is complete */
  IZ_HTTP_DATA,   /* a part of the body */
  IZ_HTTP_END,    /* the request is over */
  IZ_HTTP_BAD,    /* refused: answer `status` and close; the parser stays in this state */
} iz_http_event;

typedef struct iz_http_parser {
  iz_http_head *head; /* where the head goes; the owner sets it before the first byte */
  uint64_t left;      /* bytes missing of the body or of the present chunk */
  uint64_t body_seen, body_max;
  uint32_t head_max, bytes; /* `bytes`: of the head, or of the trailer section */
  uint16_t trailers, ext;
  uint16_t status; /* of the refusal */
  uint8_t state, at;
  const char *why; /* one line for the log and the answer */
} iz_http_parser;

/* Begins a request (also the next one on a connection). `head` is emptied, its memory kept.
 * head_max is at most IZ_HTTP_HEAD_CAP. */
void iz_http_parser_begin(iz_http_parser *p, iz_http_head *head, uint32_t head_max,
                          uint64_t body_max);

/* Takes bytes up to the next event. *used tells how many; for IZ_HTTP_DATA the body part is *body,
 * *body_len (inside `data`). After IZ_HTTP_HEADED go on calling, with n = 0 too: a request without
 * a body answers IZ_HTTP_END at once. After IZ_HTTP_END begin anew. */
iz_http_event iz_http_parse(iz_http_parser *p, const char *data, size_t n, size_t *used,
                            const char **body, size_t *body_len);

/* Whether any byte of a request has been seen since begin. */
static inline bool iz_http_parser_started(const iz_http_parser *p) {
  return p->bytes != 0;
}

/* The value of the first field of that name (given in lower case); NULL when there is none. */
const char *iz_http_find(const iz_http_head *h, const char *name, size_t *len);
static inline const char *iz_http_text(const iz_http_head *h, iz_http_span s) {
  return h->text + s.at;
}
void iz_http_head_free(iz_http_head *h);

/* ---- the grammar's small parts, shared with the response side ---- */

bool iz_http_is_token(const char *s, size_t n);       /* 1*tchar */
bool iz_http_is_field_value(const char *s, size_t n); /* no control characters but HTAB */
bool iz_http_equal_nocase(const char *a, size_t an, const char *b, size_t bn);
/* The value of a hexadecimal digit, -1 for anything else. */
int iz_http_hex(unsigned char c);

#endif
