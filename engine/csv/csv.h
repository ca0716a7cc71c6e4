/* csv.h -- CSV as RFC 4180 means it and as real files are: a streaming reader, cells, a writer.
 *
 * Reader: push bytes in any split, pull rows. The rows and errors do not depend on the split. Rows
 * end with LF, CRLF or CR; lines with nothing on them are skipped; a byte order mark is dropped and
 * decides the encoding. Everything is handed out as valid UTF-8.
 *
 * A row that cannot be read is an error with line and column, never a guess; reading then goes on
 * behind it. After a quote that never closes (or a quoted field over its limit) that is the line
 * after the one where it opened, so that one stray quote costs one row and not the rest of the
 * file; after any other error it is the next line.
 *
 * Memory: one row (at most `max_row`) plus what was pushed and not yet pulled. Nothing here knows
 * Lua.
 */
#ifndef IZ_CSV_H
#define IZ_CSV_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum iz_csv_encoding {
  IZ_CSV_UTF8,
  IZ_CSV_WINDOWS_1252, /* also what files labelled latin1 are (WHATWG Encoding, section 4.2) */
  IZ_CSV_UTF16,        /* by its byte order mark; little endian without one */
} iz_csv_encoding;

typedef struct iz_csv_opts {
  char delimiter;           /* 0: found among , ; tab | in the first 16 KB */
  iz_csv_encoding encoding; /* a byte order mark overrides it */
  uint32_t max_field;       /* bytes; 0 = 4 MB */
  uint32_t max_row;         /* bytes; 0 = 16 MB; at most 1 GB */
  uint32_t max_fields;      /* in a row; 0 = 16384 */
} iz_csv_opts;

typedef enum iz_csv_result {
  IZ_CSV_ROW,   /* a row is there */
  IZ_CSV_MORE,  /* push more, or say that this was the end */
  IZ_CSV_END,   /* no more rows */
  IZ_CSV_ERROR, /* a row that cannot be read; the next call goes on behind it */
  IZ_CSV_OOM,   /* out of memory; the reader is only good for freeing */
} iz_csv_result;

typedef struct iz_csv_error {
  char code[16];     /* "stray_quote" "unterminated" "encoding" "too_large" "too_many" */
  const char *what;  /* a sentence without the place */
  uint64_t line;     /* physical line of the file, from 1 */
  uint64_t column;   /* character in that line, from 1 */
  uint32_t field;    /* field of the row, from 1 */
  uint64_t row_line; /* where the row began */
} iz_csv_error;

typedef struct iz_csv_reader iz_csv_reader;

/* `opts` may be NULL. A delimiter must be an ASCII byte other than NUL, quote, CR and LF (see
 * iz_csv_delimiter_ok). NULL: out of memory. */
iz_csv_reader *iz_csv_reader_new(const iz_csv_opts *opts);
void iz_csv_reader_free(iz_csv_reader *r);
bool iz_csv_delimiter_ok(char c);

/* Appends bytes (copied). Fields of the present row become invalid. False: out of memory. */
bool iz_csv_push(iz_csv_reader *r, const void *data, size_t n);
/* No more bytes will come. */
bool iz_csv_finish(iz_csv_reader *r);

/* The next row; `err` is filled on IZ_CSV_ERROR. */
iz_csv_result iz_csv_next(iz_csv_reader *r, iz_csv_error *err);

/* Of the present row: */
uint32_t iz_csv_count(const iz_csv_reader *r);
/* Field i (< count): its text, unquoted, in the reader's memory until the next call of push or
 * next. Not NUL-terminated. `quoted` (may be NULL): it stood in quotes. */
const char *iz_csv_field(iz_csv_reader *r, uint32_t i, size_t *len, bool *quoted);
/* The physical line it began on. */
uint64_t iz_csv_line(const iz_csv_reader *r);
/* The delimiter in use; 0 until it was found. */
char iz_csv_delimiter(const iz_csv_reader *r);

/* ---- cells ---- */

typedef enum iz_csv_type {
  IZ_CSV_TEXT,
  IZ_CSV_NUMBER,
  IZ_CSV_INTEGER,
  IZ_CSV_DATE,
  IZ_CSV_BOOLEAN
} iz_csv_type;

typedef struct iz_csv_value {
  enum { IZ_CSV_IS_NONE, IZ_CSV_IS_INT, IZ_CSV_IS_FLOAT, IZ_CSV_IS_BOOL, IZ_CSV_IS_TEXT } is;
  int64_t i; /* also the boolean */
  double f;
  const char *s; /* text: the trimmed cell */
  size_t len;
} iz_csv_value;

/* Reads a cell as `type`. Spaces around typed cells do not count; an empty typed cell is NONE.
 * `decimal` is '.' or ','; where it is ',' dots may group thousands ("1.234,56"). NUMBER gives an
 * integer when written as one that fits 64 bits, else the nearest double; no hex, inf or nan. DATE
 * is YYYY-MM-DD and must exist. BOOLEAN is true/false, yes/no, t/f, y/n, 1/0 in any case. False: it
 * is not of that type. */
bool iz_csv_parse(const char *s, size_t len, iz_csv_type type, char decimal, iz_csv_value *out);

/* ---- writer: appends to a buffer the caller empties as it likes ---- */

typedef struct iz_csv_format {
  char delimiter; /* 0 = ',' */
  bool crlf;      /* rows end with CRLF instead of LF */
  bool formulas;  /* leave text that a spreadsheet would run as it is; by default it gets a ' */
} iz_csv_format;

typedef struct iz_csv_writer {
  iz_csv_format format;
  uint32_t fields; /* in the row begun */
  bool blank;      /* all of it empty so far */
} iz_csv_writer;

/* One cell of the row; quotes where needed. Text (UTF-8, not checked) that begins with = + - @ tab
 * or CR and is not a plain number is protected. Failure is out->oom. */
void iz_csv_put_text(iz_csv_writer *w, iz_buf *out, const char *s, size_t len);
void iz_csv_put_int(iz_csv_writer *w, iz_buf *out, int64_t n);
/* The shortest form that reads back as the same number. `n` must be finite. */
void iz_csv_put_float(iz_csv_writer *w, iz_buf *out, double n);
/* Ends the row (which has at least one cell). */
void iz_csv_put_end(iz_csv_writer *w, iz_buf *out);

#endif
