/* changes.c -- one entry a path, merged until it is quiet: see changes.h. */
#include "changes.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <string.h>

#define OPEN_QUIET (100 * IZ_MS)
#define OPEN_MOST (500 * IZ_MS)
#define GONE_QUIET                                                                                 \
  (50 * IZ_MS) /* a save that moves the old file away puts a new one there soon                    \
                */

typedef struct entry {
  char *path;
  char *from; /* renamed from here; NULL: not renamed */
  uint64_t hash;
  int64_t first, due;
  uint32_t cookie; /* of the rename that took it away */
  bool born;       /* it was not there when its first event came */
  bool present;    /* it is there now */
  bool silent;     /* gone, but its new name tells so */
} entry;

struct iz_changes {
  int64_t quiet;
  entry *list;
  size_t len, cap;
  int64_t lost_due; /* 0: nothing was lost */
  entry told;       /* what the last pop handed out */
};

static uint64_t hash_of(const char *s) {
  uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
  for (; *s; s++) h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
  return h;
}

static void free_entry(entry *e) {
  iz_free(e->path);
  iz_free(e->from);
  *e = (entry){0};
}

iz_changes *iz_changes_new(int64_t quiet_ns) {
  iz_changes *c = iz_calloc(1, sizeof *c);
  if (c) c->quiet = quiet_ns;
  return c;
}

static void clear(iz_changes *c) {
  for (size_t i = 0; i < c->len; i++) free_entry(&c->list[i]);
  c->len = 0;
}

void iz_changes_free(iz_changes *c) {
  if (!c) return;
  clear(c);
  free_entry(&c->told);
  iz_free(c->list);
  iz_free(c);
}

void iz_changes_lost(iz_changes *c, int64_t now) {
  clear(c);
  if (!c->lost_due) c->lost_due = now + c->quiet;
}

static entry *find(iz_changes *c, const char *path) {
  uint64_t hash = hash_of(path);
  for (size_t i = 0; i < c->len; i++)
    if (c->list[i].hash == hash && strcmp(c->list[i].path, path) == 0) return &c->list[i];
  return NULL;
}

static bool grow(iz_changes *c) {
  if (c->len < c->cap) return true;
  size_t cap = c->cap ? c->cap * 2 : 16;
  entry *list = cap > IZ_CHANGES_MOST ? NULL : iz_realloc(c->list, cap * sizeof *list);
  if (!list) return false;
  c->list = list;
  c->cap = cap;
  return true;
}

static entry *add_entry(iz_changes *c, int64_t now, const char *path) {
  char *copy = grow(c) ? iz_strdup(path) : NULL;
  if (!copy) return iz_changes_lost(c, now), NULL;
  entry *e = &c->list[c->len++];
  *e = (entry){.path = copy, .hash = hash_of(path), .first = now};
  return e;
}

static void settle(iz_changes *c, entry *e, int64_t now, iz_raw_event ev) {
  e->present = ev != IZ_RAW_GONE && ev != IZ_RAW_LEFT;
  int64_t quiet = c->quiet;
  if (ev == IZ_RAW_BORN || ev == IZ_RAW_WRITING)
    quiet = OPEN_QUIET;
  else if (!e->present && quiet < GONE_QUIET)
    quiet = GONE_QUIET;
  e->due = now + quiet;
  if (e->present && quiet == OPEN_QUIET && e->due > e->first + OPEN_MOST)
    e->due = e->first + OPEN_MOST;
}

/* The other end of a rename into e: what left with the same cookie. A temporary file, born within
 * the quiet time, that takes another's place makes that one "changed". */
static void pair(iz_changes *c, entry *e, bool is_new, uint32_t cookie, int64_t now) {
  entry *source = NULL;
  for (size_t i = 0; i < c->len && !source; i++)
    if (cookie && c->list[i].cookie == cookie && !c->list[i].present) source = &c->list[i];
  if (is_new) e->born = !source || !source->born;
  if (!source || source->born || source == e) return;
  iz_free(e->from);
  e->from = iz_strdup(source->path);
  if (!e->from) return iz_changes_lost(c, now);
  source->silent = true;
}

/* e is gone after it was renamed to here: its first name has something to tell after all. */
static void unpair(iz_changes *c, entry *e) {
  if (!e->from) return;
  entry *source = find(c, e->from);
  if (source) source->silent = false;
  iz_free(e->from);
  e->from = NULL;
}

void iz_changes_add(iz_changes *c, int64_t now, iz_raw_event ev, const char *path,
                    uint32_t cookie) {
  if (c->lost_due) return;
  entry *e = find(c, path);
  bool is_new = !e;
  if (is_new) e = add_entry(c, now, path);
  if (!e) return;
  if (is_new && ev == IZ_RAW_BORN) e->born = true;
  settle(c, e, now, ev);
  if (ev == IZ_RAW_LEFT) e->cookie = cookie;
  if (!e->present) unpair(c, e);
  if (ev == IZ_RAW_CAME) pair(c, e, is_new, cookie, now);
}

int64_t iz_changes_due(const iz_changes *c) {
  if (c->lost_due) return c->lost_due;
  int64_t due = INT64_MAX;
  for (size_t i = 0; i < c->len; i++)
    if (c->list[i].due < due) due = c->list[i].due;
  return due;
}

/* Moves the entry that is due first into c->told. */
static bool take_due(iz_changes *c, int64_t now) {
  size_t best = c->len;
  for (size_t i = 0; i < c->len; i++)
    if (c->list[i].due <= now && (best == c->len || c->list[i].due < c->list[best].due)) best = i;
  if (best == c->len) return false;
  free_entry(&c->told);
  c->told = c->list[best];
  c->len--;
  memmove(&c->list[best], &c->list[best + 1], (c->len - best) * sizeof *c->list);
  return true;
}

static bool says_something(const entry *e) {
  return e->present || (!e->born && !e->silent);
}

static iz_change_kind kind_of(const entry *e) {
  if (!e->present) return IZ_REMOVED;
  if (e->from) return IZ_MOVED;
  return e->born ? IZ_CREATED : IZ_CHANGED;
}

bool iz_changes_pop(iz_changes *c, int64_t now, iz_change *out) {
  if (c->lost_due) {
    if (c->lost_due > now) return false;
    c->lost_due = 0;
    *out = (iz_change){.kind = IZ_RESCAN};
    return true;
  }
  while (take_due(c, now)) {
    if (!says_something(&c->told)) continue;
    *out = (iz_change){kind_of(&c->told), c->told.path, c->told.from};
    return true;
  }
  return false;
}

const char *iz_change_name(iz_change_kind kind) {
  static const char *const names[] = {"created", "changed", "removed", "moved", "rescan"};
  return names[kind];
}
