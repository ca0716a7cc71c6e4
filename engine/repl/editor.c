/* editor.c -- libedit driven by the loop: see repl.h.
 *
 * libedit's el_wgets blocks until a line is finished, and so do parts of it: escape sequences,
 * Ctrl-R, quoted insert all read their next key in the middle of a function. (Its "unbuffered" mode
 * returns after each key, but not there.) So it runs on a stack of its own (stack.h), in the same
 * thread: where it asks for the next key and there is none, it leaves to the loop, which watches
 * the terminal and enters again when bytes have come. No lock, no second thread, and between two
 * keys its state is at rest, so that the loop's side may take the line off the screen and draw it
 * again whenever tasks have printed something (hold.h, screen.h).
 *
 * The keys that need Lua are libedit functions of ours that leave with a question and find the
 * answer when they go on. Bracketed paste, which libedit does not know, is one of these functions:
 * the terminal announces a paste by an escape sequence, the function reads up to the closing one
 * and inserts the text as it is.
 *
 * The terminal is never set to non-blocking: that flag would also hit the shell and stdout. We read
 * only when it is readable, and only while a line is being edited.
 */
#include "repl.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "repl/hold.h"
#include "repl/libedit.h"
#include "repl/screen.h"
#include "repl/stack.h"
#include "repl/terminal.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <unistd.h>

#define PASTE_MAX (1 << 20) /* characters */
#define PASTE_END L"\033[201~"
#define NEWLINE_KEYS L"\033[9001~" /* no key sends it; bound to libedit's own end of line */

typedef enum state { IDLE, READING, ASKING } state;

struct iz_editor {
  iz_loop *loop;
  void (*wake)(void *);
  void *wake_ctx;
  const iz_libedit *lib; /* NULL: plain lines */
  EditLine *el;
  HistoryW *history;
  FILE *out;
  iz_screen screen;
  iz_stack stack;
  struct event readable;
  state state;
  iz_edit_event event;
  iz_buf in; /* bytes of the terminal from in_at on not yet taken */
  size_t in_at;
  bool eof, interrupted, accepted, answered;
  bool fresh;  /* no key of this line has been read */
  iz_buf text; /* of the event, later of the answer */
  size_t cursor;
};

/* ---- characters ---- */

/* Takes one character from bytes that may end in the middle of it; 0: more bytes are needed. What
 * is not UTF-8 becomes U+FFFD. */
static size_t decode(const char *p, const char *end, wchar_t *c) {
  if (p == end) return 0;
  unsigned char a = (unsigned char)*p;
  size_t n = iz_utf8_len(p, end);
  size_t wanted = a >= 0xf0 ? 4 : a >= 0xe0 ? 3 : a >= 0xc2 ? 2 : 1;
  if (!n && a < 0xf5 && (size_t)(end - p) < wanted) return 0;
  *c = 0xfffd;
  if (!n) return 1;
  wchar_t v = n == 1 ? a : (wchar_t)(a & (0x7f >> n));
  for (size_t i = 1; i < n; i++) v = v << 6 | (p[i] & 0x3f);
  *c = v;
  return n;
}

static void encode(iz_buf *b, wchar_t c) {
  if (c < 0x80) {
    iz_buf_addc(b, (char)c);
  } else if (c < 0x800) {
    iz_buf_addc(b, (char)(0xc0 | c >> 6));
    iz_buf_addc(b, (char)(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    iz_buf_addc(b, (char)(0xe0 | c >> 12));
    iz_buf_addc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    iz_buf_addc(b, (char)(0x80 | (c & 0x3f)));
  } else {
    iz_buf_addc(b, (char)(0xf0 | c >> 18));
    iz_buf_addc(b, (char)(0x80 | (c >> 12 & 0x3f)));
    iz_buf_addc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    iz_buf_addc(b, (char)(0x80 | (c & 0x3f)));
  }
}

/* A wide copy, to be freed; `before` (may be NULL) becomes the number of characters in front of the
 * byte `cursor`. */
static wchar_t *widen(const char *p, size_t n, size_t cursor, size_t *before) {
  wchar_t *wide = n < SIZE_MAX / sizeof *wide - 1 ? iz_alloc((n + 1) * sizeof *wide) : NULL;
  if (!wide) return NULL;
  size_t count = 0;
  for (size_t at = 0; at < n;) {
    if (before && at <= cursor) *before = count;
    size_t step = decode(p + at, p + n, &wide[count]);
    if (!step) { /* cut off */
      wide[count] = 0xfffd;
      step = n - at;
    }
    at += step;
    count++;
  }
  if (before && cursor >= n) *before = count;
  wide[count] = 0;
  return wide;
}

/* ---- libedit's side ---- */

static iz_editor *the_editor; /* libedit's callbacks get no pointer of ours that is typed */

static void set_text(iz_editor *ed, const wchar_t *p, size_t n) {
  iz_buf_clear(&ed->text);
  for (size_t i = 0; i < n; i++) encode(&ed->text, p[i]);
}

/* Tells libedit a width without the gutter. It asks the terminal itself when a line begins, so it
 * is told anew after that. */
static void tell_size(iz_editor *ed) {
  int columns, rows;
  wchar_t text[16];
  iz_terminal_size(&columns, &rows);
  columns -= ed->screen.gutter;
  if (columns < 8) columns = 8;
  swprintf(text, 16, L"%d", columns);
  ed->lib->el_wset(ed->el, EL_SETTC, L"co", text, NULL);
  swprintf(text, 16, L"%d", rows < 2 ? 2 : rows);
  ed->lib->el_wset(ed->el, EL_SETTC, L"li", text, NULL);
}

static int get_char(EditLine *el, wchar_t *c) {
  (void)el;
  iz_editor *ed = the_editor;
  if (ed->fresh) tell_size(ed);
  ed->fresh = false;
  for (;;) {
    if (ed->interrupted) {
      errno = EINTR;
      return -1;
    }
    size_t n = decode(ed->in.data + ed->in_at, ed->in.data + ed->in.len, c);
    ed->in_at += n;
    if (n) return 1;
    if (ed->eof) return 0;
    ed->state = READING;
    iz_stack_leave(&ed->stack);
  }
}

static void replace_text(iz_editor *ed) {
  size_t before = 0;
  wchar_t *wide = widen(ed->text.data, ed->text.len, ed->cursor, &before);
  if (!wide) return;
  const LineInfoW *line = ed->lib->el_wline(ed->el);
  int old = (int)(line->lastchar - line->buffer), n = (int)wcslen(wide);
  ed->lib->el_cursor(ed->el, old);
  ed->lib->el_deletestr(ed->el, old);
  if (n == 0 || ed->lib->el_winsertstr(ed->el, wide) == 0)
    ed->lib->el_cursor(ed->el, (int)before - n);
  iz_free(wide);
}

/* Leaves with a question to Lua and acts on the answer. */
static unsigned char ask(iz_edit_event event) {
  iz_editor *ed = the_editor;
  const LineInfoW *line = ed->lib->el_wline(ed->el);
  set_text(ed, line->buffer, (size_t)(line->cursor - line->buffer));
  ed->cursor = ed->text.len;
  for (const wchar_t *p = line->cursor; p < line->lastchar; p++) encode(&ed->text, *p);
  ed->event = event;
  ed->state = ASKING;
  ed->accepted = ed->answered = false;
  iz_stack_leave(&ed->stack);
  if (ed->answered) replace_text(ed);
  if (ed->accepted) ed->lib->el_wpush(ed->el, NEWLINE_KEYS);
  return ed->answered ? CC_REFRESH : CC_NORM;
}

#define ASK(name, event)                                                                           \
  static unsigned char ask_##name(EditLine *el, int c) {                                           \
    (void)el, (void)c;                                                                             \
    return ask(event);                                                                             \
  }
ASK(enter, IZ_EDIT_ENTER)
ASK(newline, IZ_EDIT_NEWLINE)
ASK(tab, IZ_EDIT_TAB)
ASK(up, IZ_EDIT_UP)
ASK(down, IZ_EDIT_DOWN)
ASK(home, IZ_EDIT_HOME)
ASK(end, IZ_EDIT_END)

/* Reads a paste up to its end mark: line ends become \n, other control characters go, and so do
 * line ends at its end, so that the user's Enter decides. NULL: it broke off or memory ran out. */
static wchar_t *read_paste(iz_editor *ed) {
  static const wchar_t mark[] = PASTE_END;
  const size_t mark_len = sizeof mark / sizeof *mark - 1;
  size_t n = 0, cap = 0, seen = 0;
  wchar_t *p = NULL, c, last = 0;
  while (seen < mark_len) {
    if (ed->lib->el_wgetc(ed->el, &c) != 1) {
      iz_free(p);
      return NULL;
    }
    seen = c == mark[seen] ? seen + 1 : c == mark[0];
    bool second_half = c == '\n' && last == '\r';
    last = c;
    if (second_half || n >= PASTE_MAX) continue;
    if (n + 2 > cap) {
      cap = cap ? cap * 2 : 256;
      wchar_t *q = iz_realloc(p, cap * sizeof *p);
      if (!q) {
        iz_free(p);
        return NULL;
      }
      p = q;
    }
    if (c == '\r') c = '\n';
    if (c >= ' ' ? c != 0x7f : c == '\n' || c == '\t') p[n++] = c;
  }
  n -= n < mark_len - 1 ? n : mark_len - 1; /* the mark without its ESC */
  while (n > 0 && p[n - 1] == '\n') n--;
  p[n] = 0;
  return p;
}

static unsigned char insert_paste(EditLine *el, int c) {
  (void)c;
  iz_editor *ed = the_editor;
  wchar_t *p = read_paste(ed);
  if (!p) return CC_ERROR;
  bool fits = !p[0] || ed->lib->el_winsertstr(el, p) == 0;
  iz_free(p);
  return fits ? CC_REFRESH : CC_ERROR;
}

static unsigned char clear_screen(EditLine *el, int c) {
  (void)c;
  iz_editor *ed = the_editor;
  iz_screen_write(ed->screen.fd, "\033[H\033[2J", 7);
  iz_screen_begin(&ed->screen);
  ed->lib->el_set(el, EL_REFRESH);
  return CC_NORM;
}

/* The body of libedit's stack: line after line. */
static void edit(void *ctx) {
  iz_editor *ed = ctx;
  for (;;) {
    int n = 0;
    const wchar_t *line = ed->lib->el_wgets(ed->el, &n);
    ed->event = ed->interrupted ? IZ_EDIT_INTERRUPT : line && n > 0 ? IZ_EDIT_LINE : IZ_EDIT_EOF;
    set_text(ed, line, line && n > 1 ? (size_t)n - 1 : 0); /* without the line feed */
    ed->state = IDLE;
    iz_stack_leave(&ed->stack);
  }
}

/* ---- keys ---- */

typedef unsigned char (*key_function)(EditLine *, int);

static const struct {
  const wchar_t *name;
  key_function fn;
} functions[] = {
    {L"iza-enter", ask_enter}, {L"iza-newline", ask_newline}, {L"iza-tab", ask_tab},
    {L"iza-up", ask_up},       {L"iza-down", ask_down},       {L"iza-home", ask_home},
    {L"iza-end", ask_end},     {L"iza-paste", insert_paste},  {L"iza-clear", clear_screen},
};

static const wchar_t *const keys[][2] = {
    {L"^M", L"iza-enter"},
    {L"^J", L"iza-enter"},
    {L"\\e^M", L"iza-newline"},
    {L"\\e^J", L"iza-newline"},
    {L"^I", L"iza-tab"},
    {L"^P", L"iza-up"},
    {L"\\e[A", L"iza-up"},
    {L"\\eOA", L"iza-up"},
    {L"^N", L"iza-down"},
    {L"\\e[B", L"iza-down"},
    {L"\\eOB", L"iza-down"},
    {L"^A", L"iza-home"},
    {L"\\e[H", L"iza-home"},
    {L"\\eOH", L"iza-home"},
    {L"\\e[1~", L"iza-home"},
    {L"^E", L"iza-end"},
    {L"\\e[F", L"iza-end"},
    {L"\\eOF", L"iza-end"},
    {L"\\e[4~", L"iza-end"},
    {L"\\e[200~", L"iza-paste"},
    {L"^L", L"iza-clear"},
    {L"\\e[9001~", L"ed-newline"}, /* NEWLINE_KEYS */
    {L"^R", L"em-inc-search-prev"},
    {L"^S", L"em-inc-search-next"},
    {L"^W", L"ed-delete-prev-word"},
    {L"\\e[3~", L"ed-delete-next-char"},
    {L"\\e[1;5C", L"em-next-word"},
    {L"\\e[1;5D", L"ed-prev-word"},
    {L"\\e[1;3C", L"em-next-word"},
    {L"\\e[1;3D", L"ed-prev-word"},
};

static wchar_t *no_prompt(EditLine *el) {
  static wchar_t empty[] = L"";
  (void)el;
  return empty;
}

/* What libedit may assume of the terminal: see screen.h. */
static const wchar_t *const abilities[][2] = {
    {L"am", L"no"}, {L"xn", L"no"}, {L"pt", L"no"},     {L"ch", L""},
    {L"UP", L""},   {L"DO", L""},   {L"up", L"\033[A"},
};

static bool configure(iz_editor *ed) {
  const iz_libedit *lib = ed->lib;
  bool ok = lib->el_wset(ed->el, EL_EDITOR, L"emacs") == 0 &&
            lib->el_wset(ed->el, EL_HIST, lib->history_w, ed->history) == 0 &&
            lib->el_wset(ed->el, EL_SIGNAL, 0) == 0 &&
            lib->el_wset(ed->el, EL_PROMPT, no_prompt) == 0 &&
            lib->el_wset(ed->el, EL_GETCFN, get_char) == 0;
  HistEventW ev;
  lib->history_w(ed->history, &ev, H_SETSIZE, 10000);
  for (size_t i = 0; ok && i < sizeof functions / sizeof *functions; i++)
    ok = lib->el_wset(ed->el, EL_ADDFN, functions[i].name, L"iza", functions[i].fn) == 0;
  lib->el_source(ed->el, NULL); /* the user's ~/.editrc; our keys come after it */
  for (size_t i = 0; ok && i < sizeof keys / sizeof *keys; i++)
    ok = lib->el_wset(ed->el, EL_BIND, keys[i][0], keys[i][1], NULL) == 0;
  for (size_t i = 0; ok && i < sizeof abilities / sizeof *abilities; i++)
    ok = lib->el_wset(ed->el, EL_SETTC, abilities[i][0], abilities[i][1], NULL) == 0;
  return ok;
}

/* ---- the loop's side ---- */

static void draw(iz_editor *ed) {
  iz_screen_begin(&ed->screen);
  ed->lib->el_set(ed->el, EL_REFRESH);
}

/* Writes what tasks have printed above the line. */
static void show_held(iz_editor *ed) {
  if (!ed->screen.visible || !iz_hold_pending()) return;
  iz_screen_erase(&ed->screen);
  iz_hold_flush();
  draw(ed);
}

static void before_wait(void *ctx) {
  show_held(ctx);
}

static void on_changed(void *ctx) {
  iz_editor *ed = ctx;
  if (!ed->screen.visible) return;
  iz_screen_erase(&ed->screen);
  tell_size(ed);
  draw(ed);
}

/* The line is over and stands on the screen; the cursor goes below it. */
static void line_over(iz_editor *ed) {
  bool below = ed->screen.row > 0; /* libedit has gone there, and left a gutter */
  const char *end = below ? "\r\033[K" : "\r\n";
  if (ed->screen.visible) iz_screen_write(ed->screen.fd, end, strlen(end));
  ed->screen.visible = false;
  iz_terminal_restore();
  iz_hold_end();
}

static void go_on(iz_editor *ed) {
  iz_stack_enter(&ed->stack);
  if (ed->state == READING) {
    iz_terminal_is_raw();
    event_add(&ed->readable, NULL);
    return;
  }
  event_del(&ed->readable);
  if (ed->state == IDLE) line_over(ed);
  ed->wake(ed->wake_ctx);
}

/* Plain lines: one ends at a line feed, the last one at the end of input. */
static void take_line(iz_editor *ed) {
  const char *p = ed->in.data + ed->in_at;
  size_t left = ed->in.len - ed->in_at;
  const char *end = left ? memchr(p, '\n', left) : NULL;
  if (!end && !ed->eof) {
    event_add(&ed->readable, NULL);
    return;
  }
  size_t n = end ? (size_t)(end - p) : left;
  iz_buf_clear(&ed->text);
  iz_buf_add(&ed->text, p, n);
  ed->in_at += end ? n + 1 : n;
  ed->event = end || n > 0 ? IZ_EDIT_LINE : IZ_EDIT_EOF;
  ed->state = IDLE;
  event_del(&ed->readable);
  ed->wake(ed->wake_ctx);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
  (void)what;
  iz_editor *ed = arg;
  iz_buf_consume(&ed->in, ed->in_at);
  ed->in_at = 0;
  if (!iz_buf_reserve(&ed->in, 4096)) {
    iz_buf_clear(&ed->in);
    return;
  }
  ssize_t n = read(fd, ed->in.data + ed->in.len, 4096);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n > 0)
    ed->in.len += (size_t)n;
  else
    ed->eof = true;
  if (ed->lib)
    go_on(ed);
  else
    take_line(ed);
}

void iz_editor_start(iz_editor *ed, const char *prompt, const char *more, int width) {
  iz_screen *s = &ed->screen;
  ed->interrupted = false;
  ed->event = IZ_EDIT_NONE;
  ed->state = READING;
  snprintf(s->prompt, sizeof s->prompt, "%s", prompt);
  if (!ed->lib) {
    iz_screen_write(s->fd, prompt, strlen(prompt));
    take_line(ed);
    return;
  }
  snprintf(s->more, sizeof s->more, "%s", more);
  s->gutter = width;
  int columns, rows;
  iz_terminal_size(&columns, &rows);
  ed->fresh = true;
  fflush(stdout);
  iz_screen_fresh_row(s, columns);
  iz_hold_begin();
  iz_screen_begin(s);
  go_on(ed);
}

iz_edit_event iz_editor_take(iz_editor *ed, const char **text, size_t *n, size_t *cursor) {
  iz_edit_event e = ed->event;
  ed->event = IZ_EDIT_NONE;
  *text = iz_buf_cstr(&ed->text);
  *n = *text ? ed->text.len : 0;
  *cursor = ed->cursor < *n ? ed->cursor : *n;
  return e;
}

bool iz_editor_has_event(const iz_editor *ed) {
  return ed->event != IZ_EDIT_NONE;
}

const char *iz_editor_event_name(iz_edit_event e) {
  static const char *const names[] = {"none", "line", "eof",  "interrupt", "enter", "newline",
                                      "tab",  "up",   "down", "home",      "end"};
  return names[e];
}

bool iz_editor_active(const iz_editor *ed) {
  return ed->state != IDLE;
}

bool iz_editor_is_plain(const iz_editor *ed) {
  return !ed->lib;
}

/* An interrupt that came while the question was open ends the line now. */
static void answer(iz_editor *ed) {
  show_held(ed);
  go_on(ed);
}

void iz_editor_reply(iz_editor *ed, const char *text, size_t n, size_t cursor) {
  if (ed->state != ASKING) return;
  ed->answered = text != NULL;
  if (text) {
    iz_buf_clear(&ed->text);
    iz_buf_add(&ed->text, text, n);
    ed->cursor = cursor;
  }
  answer(ed);
}

void iz_editor_accept(iz_editor *ed, const char *text, size_t n) {
  ed->accepted = true;
  iz_editor_reply(ed, text, n, n);
}

void iz_editor_interrupt(iz_editor *ed) {
  if (ed->state == IDLE) return;
  ed->interrupted = true;
  if (!ed->lib) {
    iz_screen_write(ed->screen.fd, "\n", 1);
    event_del(&ed->readable);
    ed->event = IZ_EDIT_INTERRUPT;
    ed->state = IDLE;
    ed->wake(ed->wake_ctx);
    return;
  }
  if (ed->state == ASKING) return; /* the answer is on its way */
  iz_screen_erase(&ed->screen);
  const LineInfoW *line = ed->lib->el_wline(ed->el);
  ed->lib->el_cursor(ed->el, (int)(line->lastchar - line->cursor));
  draw(ed);
  iz_screen_write(ed->screen.fd, "^C\r\n", 4);
  ed->screen.visible = false;
  go_on(ed);
}

bool iz_editor_remember(iz_editor *ed, const char *text, size_t n) {
  if (!ed->lib) return true;
  wchar_t *wide = widen(text, n, 0, NULL);
  HistEventW ev;
  bool ok = wide && ed->lib->history_w(ed->history, &ev, H_ENTER, wide) >= 0;
  iz_free(wide);
  return ok;
}

/* ---- life ---- */

static bool can_edit(iz_err *why) {
  const char *term = getenv("TERM");
  if (!isatty(STDOUT_FILENO)) return iz_fail(why, "plain", "standard output is no terminal");
  if (!term || !*term || !strcmp(term, "dumb"))
    return iz_fail(why, "plain", "the terminal cannot move its cursor (TERM=%s)", term ? term : "");
  return true;
}

static bool open_libedit(iz_editor *ed, iz_err *why) {
  if (!can_edit(why) || !(ed->lib = iz_libedit_load(why))) return false;
  ed->history = ed->lib->history_winit();
  ed->out = iz_screen_open(&ed->screen);
  if (!ed->history || !ed->out || !iz_stack_open(&ed->stack, edit, ed)) return iz_fail_oom(why);
  ed->el = ed->lib->el_init_fd("iza", stdin, ed->out, stderr, STDIN_FILENO, STDOUT_FILENO,
                               STDERR_FILENO);
  if (!ed->el) return iz_fail_oom(why);
  if (!configure(ed)) return iz_fail(why, "plain", "libedit refused its settings");
  return true;
}

static void close_libedit(iz_editor *ed) {
  if (!ed->lib) return;
  if (ed->el) ed->lib->el_end(ed->el);
  if (ed->history) ed->lib->history_wend(ed->history);
  if (ed->out) fclose(ed->out);
  iz_stack_close(&ed->stack);
  ed->el = NULL;
  ed->lib = NULL;
}

iz_editor *iz_editor_open(iz_loop *loop, void (*wake)(void *), void *ctx, iz_err *why) {
  iz_editor *ed = iz_calloc(1, sizeof *ed);
  if (!ed) return iz_fail_oom(why), NULL;
  ed->loop = loop;
  ed->wake = wake;
  ed->wake_ctx = ctx;
  ed->screen.fd = STDOUT_FILENO;
  if (!iz_terminal_open(loop, STDIN_FILENO, on_changed, ed, why)) {
    iz_free(ed);
    return NULL;
  }
  if (!open_libedit(ed, why)) close_libedit(ed);
  event_assign(&ed->readable, iz_loop_base(loop), STDIN_FILENO, EV_READ | EV_PERSIST, on_readable,
               ed);
  the_editor = ed;
  iz_loop_before_wait(loop, before_wait, ed);
  return ed;
}

void iz_editor_close(iz_editor *ed) {
  if (!ed) return;
  event_del(&ed->readable);
  iz_loop_before_wait(ed->loop, NULL, NULL);
  bool open = ed->screen.visible;
  ed->screen.visible = false;
  if (open) iz_screen_write(ed->screen.fd, "\r\n", 2);
  iz_terminal_restore();
  if (open) iz_hold_end();
  close_libedit(ed);
  iz_terminal_close();
  iz_buf_free(&ed->in);
  iz_buf_free(&ed->text);
  iz_buf_free(&ed->screen.out);
  the_editor = NULL;
  iz_free(ed);
}
