/* csv_scan.h -- private to csv/: finds the bytes that matter, and bytes into valid UTF-8. */
#ifndef IZ_CSV_SCAN_H
#define IZ_CSV_SCAN_H

#include "base/buf.h"
#include "csv/csv.h"

/* Bytes indexed at a time. */
#define IZ_CSV_WINDOW 4096

/* Writes the offsets (base + place) of every delimiter, quote, CR and LF in the n bytes at p
 * (n <= IZ_CSV_WINDOW) to `out`, which has room for n + 8, and returns how many there are. Sets
 * *high when any byte is not ASCII, else leaves it. */
size_t iz_csv_index(const char *p, size_t n, uint32_t base, char delimiter, uint32_t *out,
                    bool *high);

/* The offset of the first byte that does not belong to valid UTF-8 (RFC 3629); n if all do. */
size_t iz_csv_utf8_bad(const char *p, size_t n);

/* Converts a stream to UTF-8. What cannot be converted becomes bytes that are not valid UTF-8, so
 * that the reader reports it with its place. */
typedef struct iz_csv_decoder {
  iz_csv_encoding encoding;
  bool started, big_endian;
  unsigned char held[4]; /* an incomplete beginning */
  uint8_t held_len;
  uint16_t high; /* a surrogate that waits for its other half */
} iz_csv_decoder;

/* Appends what `n` bytes mean to out. False: out of memory. */
bool iz_csv_decode(iz_csv_decoder *d, const unsigned char *p, size_t n, bool last, iz_buf *out);

#endif
