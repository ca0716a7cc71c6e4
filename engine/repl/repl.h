/* repl.h -- editing a line at the terminal while the loop goes on.
 *
 * An editor shows a prompt, lets libedit edit the text and says what happened as an event. Some
 * keys (Enter, Tab, arrows up and down ...) are decided by the caller: the event carries the text
 * and the cursor, and the line waits for iz_editor_reply or iz_editor_accept. Without libedit, or
 * on a terminal that cannot move its cursor, plain lines are read and only LINE, EOF and INTERRUPT
 * come. One editor a process.
 */
#ifndef IZ_REPL_H
#define IZ_REPL_H

#include "loop/loop.h"

typedef struct iz_editor iz_editor;

/* In this order in iz_editor_event_name. */
typedef enum iz_edit_event {
  IZ_EDIT_NONE,
  IZ_EDIT_LINE,      /* accepted: `text` */
  IZ_EDIT_EOF,       /* Ctrl-D on an empty line, or the terminal has gone */
  IZ_EDIT_INTERRUPT, /* iz_editor_interrupt */
  /* these want an answer */
  IZ_EDIT_ENTER,
  IZ_EDIT_NEWLINE, /* Alt-Enter */
  IZ_EDIT_TAB,
  IZ_EDIT_UP,
  IZ_EDIT_DOWN,
  IZ_EDIT_HOME,
  IZ_EDIT_END,
} iz_edit_event;

/* Opens the terminal on stdin and stdout. `wake` is called on the loop when there is an event.
 * NULL: stdin is no terminal, or no memory. When plain lines are all there is, `why` says so. */
iz_editor *iz_editor_open(iz_loop *loop, void (*wake)(void *), void *ctx, iz_err *why);
/* The terminal is as before; a line in the making is dropped. */
void iz_editor_close(iz_editor *ed);
bool iz_editor_is_plain(const iz_editor *ed);

/* Begins a line. Both prompts fill the same number of columns, `width`; `more` stands before every
 * row but the first. They may hold colour sequences. */
void iz_editor_start(iz_editor *ed, const char *prompt, const char *more, int width);
/* What happened, once; NONE when nothing did. The text (UTF-8, NUL-terminated) and the cursor in
 * bytes are valid until the next call of any function here. */
iz_edit_event iz_editor_take(iz_editor *ed, const char **text, size_t *n, size_t *cursor);
bool iz_editor_has_event(const iz_editor *ed);
const char *iz_editor_event_name(iz_edit_event e);
/* Has a line been started that is not over? */
bool iz_editor_active(const iz_editor *ed);

/* Answers: the text shall be this, with the cursor there (NULL: leave all as it is). */
void iz_editor_reply(iz_editor *ed, const char *text, size_t n, size_t cursor);
/* Answers: the line is finished, with this text (NULL: as it is); the event LINE follows. */
void iz_editor_accept(iz_editor *ed, const char *text, size_t n);
/* Ends the line without a result; the event INTERRUPT follows. */
void iz_editor_interrupt(iz_editor *ed);
/* Adds an entry for Ctrl-R to find. False: out of memory. */
bool iz_editor_remember(iz_editor *ed, const char *text, size_t n);

#endif
