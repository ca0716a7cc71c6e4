/* libedit.h -- libedit's functions, found by dlopen on first use.
 *
 * Only the REPL on a terminal needs them; linking libedit would make every script start slower. The
 * types and constants are those of its own header.
 */
#ifndef IZ_LIBEDIT_H
#define IZ_LIBEDIT_H

#include "base/err.h"

#include <histedit.h>
#include <stdio.h>

typedef struct iz_libedit {
  EditLine *(*el_init_fd)(const char *, FILE *, FILE *, FILE *, int, int, int);
  void (*el_end)(EditLine *);
  void (*el_reset)(EditLine *);
  int (*el_source)(EditLine *, const char *);
  int (*el_set)(EditLine *, int, ...);
  int (*el_get)(EditLine *, int, ...);
  int (*el_wset)(EditLine *, int, ...);
  const wchar_t *(*el_wgets)(EditLine *, int *);
  int (*el_wgetc)(EditLine *, wchar_t *);
  void (*el_wpush)(EditLine *, const wchar_t *);
  const LineInfoW *(*el_wline)(EditLine *);
  int (*el_winsertstr)(EditLine *, const wchar_t *);
  void (*el_deletestr)(EditLine *, int);
  int (*el_cursor)(EditLine *, int);
  HistoryW *(*history_winit)(void);
  void (*history_wend)(HistoryW *);
  int (*history_w)(HistoryW *, HistEventW *, int, ...);
} iz_libedit;

/* The table, or NULL: the library is missing (err says which package has it) or too old. */
const iz_libedit *iz_libedit_load(iz_err *err);

#endif
