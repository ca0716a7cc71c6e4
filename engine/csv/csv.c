/* csv.c -- the reader: a state machine over the bytes that matter.
 *
 * Text (UTF-8 by then) lies in one buffer that begins at or before the present row. csv_scan.c
 * tells where delimiters, quotes and line ends are, a window of 4 KB at a time; step() looks at
 * those only. A field is a span relative to the row's start, so that the buffer may move when bytes
 * are pushed; doubled quotes are undone in place when the field is asked for.
 *
 * Whatever ends a row early (limits, stray quotes) is decided by byte positions and never by where
 * a push ended: the fuzzer holds us to that.
 */
#include "csv/csv.h"

#include "base/alloc.h"
#include "csv/csv_scan.h"

#define SNIFF_BYTES 16384u

enum state {
  PLAIN,  /* at the start of a field, or in one without quotes */
  QUOTED, /* inside quotes */
  CLOSED, /* behind a quote inside quotes, at quote_at: the end, or the first half of a doubled one
           */
  SKIP,   /* a row was given up: up to the end of this line */
};

typedef struct span {
  uint32_t at, len; /* relative to row_at */
  bool quoted, doubled;
} span;

struct iz_csv_reader {
  iz_csv_opts opts;
  iz_csv_decoder decoder;
  iz_buf text;
  bool finished, have_row, after_cr, oom;
  bool high, window_high; /* bytes outside ASCII in this row; in this window */
  enum state state;
  uint32_t row_at, row_end, field_at, quote_at; /* offsets in text */
  bool doubled;
  uint32_t limit; /* the field or the row is too long when it goes on past this offset */
  uint64_t line, row_line;
  span *spans;
  uint32_t count, room;
  uint32_t pos, scanned; /* behind the last byte visited; behind the last byte indexed */
  uint32_t hits, hit;    /* in index: how many, the next */
  uint32_t index[IZ_CSV_WINDOW + 8];
};

bool iz_csv_delimiter_ok(char c) {
  return c > 0 && c < 127 && c != '"' && c != '\n' && c != '\r';
}

static void set_limit(iz_csv_reader *r) {
  uint32_t field = r->field_at + r->opts.max_field, row = r->row_at + r->opts.max_row;
  r->limit = field < row ? field : row;
}

iz_csv_reader *iz_csv_reader_new(const iz_csv_opts *opts) {
  iz_csv_reader *r = iz_calloc(1, sizeof *r);
  if (!r) return NULL;
  if (opts) r->opts = *opts;
  if (!r->opts.max_field) r->opts.max_field = 4u << 20;
  if (!r->opts.max_row) r->opts.max_row = 16u << 20;
  if (!r->opts.max_fields) r->opts.max_fields = 16384;
  if (r->opts.max_row > 1u << 30) r->opts.max_row = 1u << 30;
  if (r->opts.max_field > r->opts.max_row) r->opts.max_field = r->opts.max_row;
  r->decoder.encoding = r->opts.encoding;
  r->line = r->row_line = 1;
  set_limit(r);
  return r;
}

void iz_csv_reader_free(iz_csv_reader *r) {
  if (!r) return;
  iz_buf_free(&r->text);
  iz_free(r->spans);
  iz_free(r);
}

/* ---- input ---- */

static void start_row(iz_csv_reader *r, uint32_t at) {
  r->row_at = r->field_at = at;
  r->row_line = r->line;
  r->count = 0;
  r->doubled = false;
  r->state = PLAIN;
  r->have_row = false;
  r->high = r->window_high;
  set_limit(r);
}

/* Forgets the index from `at` on: those bytes are looked at again. */
static void unindex(iz_csv_reader *r, uint32_t at) {
  r->pos = r->scanned = at;
  r->hits = r->hit = 0;
}

static void compact(iz_csv_reader *r) {
  if (r->have_row) start_row(r, r->row_end);
  uint32_t n = r->row_at;
  if (n == 0 || n < r->text.len - n) return;
  iz_buf_consume(&r->text, n);
  r->row_at = 0;
  r->field_at -= n;
  r->quote_at -= r->quote_at < n ? r->quote_at : n;
  unindex(r, r->hit == r->hits ? r->scanned - n : r->pos - n);
  set_limit(r);
}

static bool feed(iz_csv_reader *r, const void *data, size_t n, bool last) {
  compact(r);
  if (n > (UINT32_MAX >> 1) / 3 || r->text.len + n * 3 > UINT32_MAX >> 1 ||
      !iz_csv_decode(&r->decoder, data, n, last, &r->text))
    r->oom = true;
  return !r->oom;
}

bool iz_csv_push(iz_csv_reader *r, const void *data, size_t n) {
  return feed(r, data, n, false);
}

bool iz_csv_finish(iz_csv_reader *r) {
  if (r->finished) return !r->oom;
  r->finished = true;
  return feed(r, "", 0, true);
}

/* ---- delimiter ---- */

typedef struct tally {
  uint32_t score, fields, last;
  bool quoted, started;
} tally;

static void tally_line(tally *t) {
  if (t->started) {
    if (t->fields > 0) t->score += t->fields == t->last ? 2 : 1;
    t->last = t->fields;
  }
  t->fields = 0;
  t->started = false;
}

/* Points for every row that the delimiter splits, twice when into as many fields as the row before.
 */
static tally tally_for(const char *p, size_t n, char delimiter, bool whole) {
  tally t = {0};
  bool field_start = true;
  for (size_t i = 0; i < n; i++) {
    char c = p[i];
    if (c == '"' && (t.quoted || field_start)) {
      t.quoted = !t.quoted;
      t.started = true;
      field_start = !t.quoted; /* so that the second of a doubled quote opens again */
    } else if (!t.quoted && (c == '\n' || c == '\r')) {
      tally_line(&t);
      field_start = true;
    } else {
      t.started = true;
      field_start = !t.quoted && c == delimiter;
      t.fields += field_start;
    }
  }
  if (whole && !t.quoted) tally_line(&t);
  return t;
}

static bool find_delimiter(iz_csv_reader *r) {
  if (r->text.len < SNIFF_BYTES && !r->finished) return false;
  size_t n = r->text.len < SNIFF_BYTES ? r->text.len : SNIFF_BYTES;
  tally best = {0};
  char chosen = ',';
  for (const char *d = ",;\t|"; *d; d++) {
    tally t = tally_for(r->text.data, n, *d, n == r->text.len && r->finished);
    if (t.score > best.score || (t.score == best.score && t.last > best.last)) {
      best = t;
      chosen = *d;
    }
  }
  r->opts.delimiter = chosen;
  return true;
}

/* ---- errors and how reading goes on ---- */

/* Fills in the place of offset `at`, which lies in the present row. */
static void locate(const iz_csv_reader *r, uint32_t at, iz_csv_error *err) {
  err->row_line = err->line = r->row_line;
  err->column = 1;
  err->field = r->count + 1;
  for (uint32_t i = r->row_at; i < at; i++) {
    unsigned char c = (unsigned char)r->text.data[i];
    bool second = c == '\n' && i > r->row_at && r->text.data[i - 1] == '\r';
    if (c == '\n' || c == '\r') {
      err->line += !second;
      err->column = 1;
    } else if ((c & 0xc0) != 0x80) {
      err->column++;
    }
  }
}

static iz_csv_result fail(const iz_csv_reader *r, uint32_t at, const char *code, const char *what,
                          iz_csv_error *err) {
  locate(r, at, err);
  size_t n = strlen(code);
  memcpy(err->code, code, n + 1);
  err->what = what;
  return IZ_CSV_ERROR;
}

/* Gives up the rest of the line from offset `at` on, which may be the line's end. */
static iz_csv_result skip_line(iz_csv_reader *r, uint32_t at) {
  if (r->hit > 0 && r->index[r->hit - 1] >= at) r->pos = r->index[--r->hit];
  r->state = SKIP;
  r->after_cr = false;
  return IZ_CSV_ERROR;
}

/* Gives up the quoted field at field_at: on to the line after the one where it opened, if that
 * begins before `end`. */
static bool rewind_line(iz_csv_reader *r, uint32_t end, uint64_t opened) {
  for (uint32_t i = r->field_at; i < end; i++) {
    char c = r->text.data[i];
    if (c != '\n' && c != '\r') continue;
    r->line = opened + 1;
    r->after_cr = c == '\r';
    r->window_high = true; /* unknown: look */
    start_row(r, i + 1);
    unindex(r, i + 1);
    return true;
  }
  return false;
}

static iz_csv_result too_large(iz_csv_reader *r, iz_csv_error *err) {
  bool row = r->limit == r->row_at + r->opts.max_row;
  fail(r, r->limit, "too_large",
       row ? "the row is longer than max_row" : "the field is longer than max_field", err);
  iz_csv_error opened;
  locate(r, r->field_at, &opened);
  if (r->state != PLAIN && rewind_line(r, r->limit + 1, opened.line)) return IZ_CSV_ERROR;
  return skip_line(r, r->limit + 1);
}

static iz_csv_result stray(iz_csv_reader *r, iz_csv_error *err) {
  bool plain = r->state == PLAIN;
  uint32_t at = plain ? r->pos - 1 : r->quote_at + 1;
  fail(r, at, "stray_quote",
       plain ? "a quote inside a field that does not begin with one (put the field in quotes, "
               "double the quote)"
             : "text behind the closing quote (a quote inside a field must be doubled)",
       err);
  return skip_line(r, at);
}

static iz_csv_result unterminated(iz_csv_reader *r, iz_csv_error *err) {
  uint32_t end = (uint32_t)r->text.len;
  fail(r, r->field_at, "unterminated", "the quote that opens here never closes", err);
  if (!rewind_line(r, end, err->line)) {
    start_row(r, end);
    unindex(r, end);
  }
  return IZ_CSV_ERROR;
}

/* ---- rows ---- */

static bool more_spans(iz_csv_reader *r) {
  uint32_t room = r->room ? r->room * 2 : 32;
  span *s = iz_realloc(r->spans, room * sizeof *s);
  if (!s) {
    r->oom = true;
    return false;
  }
  r->spans = s;
  r->room = room;
  return true;
}

/* Adds the field that ends before offset p. False: too many, or no memory. */
static inline bool end_field(iz_csv_reader *r, uint32_t p) {
  if (__builtin_expect(r->count == r->room, 0) && !more_spans(r)) return false;
  if (__builtin_expect(r->count == r->opts.max_fields, 0)) return false;
  span *s = &r->spans[r->count++];
  if (r->state == PLAIN) {
    *s = (span){r->field_at - r->row_at, p - r->field_at, false, false};
  } else {
    *s = (span){r->field_at + 1 - r->row_at, r->quote_at - r->field_at - 1, true, r->doubled};
    r->state = PLAIN;
    r->doubled = false;
  }
  return true;
}

static iz_csv_result no_field(iz_csv_reader *r, iz_csv_error *err) {
  if (r->oom) return IZ_CSV_OOM;
  fail(r, r->field_at, "too_many", "the row has more fields than max_fields", err);
  return skip_line(r, r->field_at);
}

/* The row's text ends at `end`, the next row begins at `next`. */
static iz_csv_result end_row(iz_csv_reader *r, uint32_t end, uint32_t next, iz_csv_error *err) {
  r->row_end = next;
  r->have_row = true;
  if (__builtin_expect(r->high, 0)) {
    const char *row = r->text.data + r->row_at;
    uint32_t n = end - r->row_at;
    uint32_t bad = (uint32_t)iz_csv_utf8_bad(row, n);
    if (bad < n) {
      uint32_t field = 0;
      while (field + 1 < r->count && r->spans[field + 1].at <= bad) field++;
      fail(r, r->row_at + bad, "encoding",
           "bytes that are no valid text in this encoding (is the file UTF-8? see the encoding "
           "option)",
           err);
      err->field = field + 1;
      return IZ_CSV_ERROR;
    }
  }
  return IZ_CSV_ROW;
}

/* A line end at p outside quotes. IZ_CSV_MORE: there was nothing on the line. */
static inline iz_csv_result newline(iz_csv_reader *r, uint32_t p, char c, iz_csv_error *err) {
  bool second = r->after_cr && c == '\n' && p == r->row_at;
  bool blank = p == r->row_at || r->state == SKIP;
  if (!blank && !end_field(r, p)) return no_field(r, err);
  r->after_cr = c == '\r';
  r->line += !second;
  if (!blank) return end_row(r, p, p + 1, err);
  start_row(r, p + 1);
  return IZ_CSV_MORE;
}

/* Visits the byte at p. IZ_CSV_MORE: nothing to report yet. */
static inline iz_csv_result step(iz_csv_reader *r, uint32_t p, iz_csv_error *err) {
  char c = r->text.data[p];
  r->pos = p + 1;
  if (r->state == SKIP) return c == '\n' || c == '\r' ? newline(r, p, c, err) : IZ_CSV_MORE;
  if (r->state == CLOSED && p != r->quote_at + 1) return stray(r, err);
  if (__builtin_expect(p > r->limit, 0)) return too_large(r, err);
  if (r->state == QUOTED) {
    if (c == '"') {
      r->quote_at = p;
      r->state = CLOSED;
    } else if (c == '\r' || (c == '\n' && r->text.data[p - 1] != '\r')) {
      r->line++;
    }
    return IZ_CSV_MORE;
  }
  if (c == r->opts.delimiter) {
    if (!end_field(r, p)) return no_field(r, err);
    r->field_at = p + 1;
    set_limit(r);
    return IZ_CSV_MORE;
  }
  if (c != '"') return newline(r, p, c, err);
  if (r->state == PLAIN && p != r->field_at) return stray(r, err);
  r->doubled = r->state == CLOSED;
  r->state = QUOTED;
  return IZ_CSV_MORE;
}

/* All bytes there are were visited. */
static iz_csv_result data_end(iz_csv_reader *r, iz_csv_error *err) {
  uint32_t end = (uint32_t)r->text.len;
  if (r->state == SKIP) {
    start_row(r, end);
    r->state = SKIP;
  } else if (r->state == CLOSED && end > r->quote_at + 1) {
    return stray(r, err);
  } else if (end > r->limit && (r->finished || r->state != CLOSED)) {
    return too_large(r, err);
  }
  if (!r->finished) return IZ_CSV_MORE;
  if (r->state == SKIP || end == r->row_at) return IZ_CSV_END;
  if (r->state == QUOTED) return unterminated(r, err);
  if (!end_field(r, end)) return no_field(r, err);
  return end_row(r, end, end, err);
}

static bool index_more(iz_csv_reader *r) {
  uint32_t n = (uint32_t)r->text.len - r->scanned;
  if (n == 0) return false;
  if (n > IZ_CSV_WINDOW) n = IZ_CSV_WINDOW;
  r->window_high = false;
  r->hits = (uint32_t)iz_csv_index(r->text.data + r->scanned, n, r->scanned, r->opts.delimiter,
                                   r->index, &r->window_high);
  r->hit = 0;
  r->high |= r->window_high;
  r->scanned += n;
  return true;
}

iz_csv_result iz_csv_next(iz_csv_reader *r, iz_csv_error *err) {
  if (r->oom) return IZ_CSV_OOM;
  if (r->have_row) start_row(r, r->row_end);
  if (!r->opts.delimiter && !find_delimiter(r)) return IZ_CSV_MORE;
  for (;;) {
    while (r->hit < r->hits) {
      iz_csv_result result = step(r, r->index[r->hit++], err);
      if (result != IZ_CSV_MORE) return result;
    }
    if (!index_more(r)) return data_end(r, err);
  }
}

uint32_t iz_csv_count(const iz_csv_reader *r) {
  return r->have_row ? r->count : 0;
}
uint64_t iz_csv_line(const iz_csv_reader *r) {
  return r->row_line;
}
char iz_csv_delimiter(const iz_csv_reader *r) {
  return r->opts.delimiter;
}

static void undouble(char *s, span *f) {
  uint32_t to = 0;
  for (uint32_t from = 0; from < f->len; from++) {
    s[to++] = s[from];
    if (s[from] == '"') from++;
  }
  f->len = to;
  f->doubled = false;
}

const char *iz_csv_field(iz_csv_reader *r, uint32_t i, size_t *len, bool *quoted) {
  span *f = &r->spans[i];
  char *s = r->text.data + r->row_at + f->at;
  if (f->doubled) undouble(s, f);
  *len = f->len;
  if (quoted) *quoted = f->quoted;
  return s;
}
