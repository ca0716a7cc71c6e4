/* screen.h -- where the line being edited stands on the terminal.
 *
 * libedit thinks that it owns a terminal narrower than the real one and without a prompt. What it
 * writes passes through here: each row gets its gutter (the prompt, or on the rows below the
 * continuation prompt) and the row of the cursor is counted, so that the whole can be taken off the
 * screen at any moment and drawn again below something else. This works because libedit, told that
 * the terminal can do nothing else, moves between rows only by line feeds and "cursor up".
 */
#ifndef IZ_SCREEN_H
#define IZ_SCREEN_H

#include "base/buf.h"

#include <stdio.h>

#define IZ_PROMPT_MAX 64

typedef struct iz_screen {
  int fd;
  iz_buf out;                 /* what waits for the next flush */
  char prompt[IZ_PROMPT_MAX]; /* gutter of the first row, with colours */
  char more[IZ_PROMPT_MAX];   /* gutter of the other rows */
  int gutter;                 /* their width in columns */
  int row;                    /* of the cursor, counted from the first row of the line */
  bool visible;               /* the line is on the screen */
  unsigned char state;        /* of the escape sequence being passed on */
  int argument;               /* its number */
} iz_screen;

/* A stream whose bytes pass through the screen; NULL: no memory. */
FILE *iz_screen_open(iz_screen *s);
/* Writes all of it to the terminal. */
void iz_screen_write(int fd, const char *p, size_t n);
/* Goes to the next row unless the cursor stands at the left edge; output that did not end its line
 * is marked by a reversed backslash. The mark and the blanks behind it fill one row exactly: from
 * the left edge they stay in it and are erased, from elsewhere they reach into the next. */
void iz_screen_fresh_row(iz_screen *s, int columns);
/* Draws the first gutter at the left edge, where the line will begin. */
void iz_screen_begin(iz_screen *s);
/* Takes the line off the screen; the cursor is where its first row was. */
void iz_screen_erase(iz_screen *s);

#endif
