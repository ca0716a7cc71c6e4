/* glob.c -- two places to go back to, no recursion: see glob.h.
 *
 * After a mismatch the last `*` takes one byte more, within its folder; when it cannot, the last
 * "**" takes one folder more. Earlier ones need no second try: whatever they could take more, the
 * later ones can take instead.
 */
#include "glob.h"

#include <string.h>

/* Behind "[...]" at p, *matches tells whether c is in it; NULL: not closed, so a plain '['. */
static const char *match_set(const char *p, unsigned char c, bool *matches) {
  bool negated = p[1] == '!' || p[1] == '^';
  const char *s = p + 1 + negated;
  bool in = false;
  for (bool first = true; *s && (first || *s != ']'); first = false) {
    unsigned char low = (unsigned char)*s, high = low;
    s++;
    if (s[0] == '-' && s[1] && s[1] != ']') {
      high = (unsigned char)s[1];
      s += 2;
    }
    if (c >= low && c <= high) in = true;
  }
  if (*s != ']') return NULL;
  *matches = in != negated && c != '/';
  return s + 1;
}

/* Matches one byte of s (not its end); gives what follows in the pattern, or NULL. */
static const char *match_one(const char *p, char c) {
  bool matches = false;
  if (*p == '?') return c != '/' ? p + 1 : NULL;
  if (*p == '[') {
    const char *behind = match_set(p, (unsigned char)c, &matches);
    if (behind) return matches ? behind : NULL;
  }
  if (*p == '\\' && p[1]) p++;
  return *p == c ? p + 1 : NULL;
}

typedef struct place {
  const char *p, *s;
} place;

static bool is_folders(const char *p) {
  return p[0] == '*' && p[1] == '*' && (p[2] == '/' || p[2] == 0);
}

bool iz_glob(const char *pattern, const char *path) {
  place star = {0}, folders = {0};
  const char *p = pattern, *s = path;
  for (;;) {
    bool at_start = p == pattern || p[-1] == '/';
    if (at_start && is_folders(p)) {
      if (!p[2]) return true;
      p += 3;
      folders = (place){p, s};
      star = (place){0};
      continue;
    }
    if (*p == '*') {
      p++;
      star = (place){p, s};
      continue;
    }
    if (!*s && !*p) return true;
    const char *behind = *s ? match_one(p, *s) : NULL;
    if (behind) {
      p = behind;
      s++;
    } else if (star.p && *star.s && *star.s != '/') {
      s = ++star.s;
      p = star.p;
    } else if (folders.p && (folders.s = strchr(folders.s, '/'))) {
      s = ++folders.s;
      p = folders.p;
      star = (place){0};
    } else {
      return false;
    }
  }
}
