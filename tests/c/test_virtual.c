/* test_virtual.c -- the scheduler, child processes and files under virtual time: sleeps pass at
 * once, and time stands still while work outside the loop is under way. */
#include "run_script.h"

#include "base/buf.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void run(const char *code) {
  iz_clock_virtual(1000 * IZ_SEC);
  run_script("", code, 0);
  iz_clock_real();
  if (script_failure[0]) fail_msg("%s", script_failure);
}

static void test_a_month_passes_at_once(void **state) {
  (void)state;
  run("local t0, order = iza.now(), {}\n"
      "iza.scope(function(scope)\n"
      "  for _, days in ipairs{30, 1, 7} do\n"
      "    scope:spawn(function() iza.sleep(days .. 'd'); order[#order + 1] = days end)\n"
      "  end\n"
      "end)\n"
      "assert(table.concat(order, ' ') == '1 7 30')\n"
      "assert(iza.now() - t0 == 30 * 86400, iza.now() - t0)\n"
      "local _, err = iza.timeout('1h', function() iza.sleep('2h') end)\n"
      "assert(err.code == 'timeout')\n"
      "assert(math.abs(iza.now() - t0 - 30 * 86400 - 3600) < 1e-3)\n");
}

static void test_time_stands_still_while_a_child_or_a_file_is_busy(void **state) {
  (void)state;
  run("local t0 = iza.now()\n"
      "local sleeper = iza.spawn(function() iza.sleep('1h') end)\n"
      "assert(iza.exec{'sleep', '0.05', timeout = '1m'}.ok)\n"
      "assert(iza.now() == t0)\n"
      "local path = os.tmpname()\n"
      "for i = 1, 50 do assert(iza.fs.write(path, 'x')) end\n"
      "assert(iza.fs.remove(path))\n"
      "assert(iza.now() == t0)\n"
      "sleeper:join()\n"
      "assert(iza.now() == t0 + 3600)\n");
}

static void test_the_grace_of_a_stubborn_child_passes_at_once(void **state) {
  (void)state;
  run("local p = iza.exec{'sh', '-c', \"trap '' TERM; echo; while :; do sleep 0.01; done\",\n"
      "                   stream = true}\n"
      "p:read('l')\n"
      "p:close()\n");
}

/* Both ends of HTTP in this process; `url` and the server are there for the script. */
static void run_with_server(const char *code) {
  iz_buf b = {0};
  iz_buf_adds(&b, "local t0 = iza.now()\n"
                  "local function passed() return iza.now() - t0 end\n"
                  "local server = assert(iza.http.serve{port = 0, routes = {\n"
                  "  ['GET /now'] = function() return {text = 'now'} end,\n"
                  "  ['GET /slow'] = function() iza.sleep('1h') return {text = 'slow'} end,\n"
                  "  ['POST /size'] = function(req) return {text = tostring(#req:text())} end,\n"
                  "  ['GET /stream'] = function() return {stream = function(out)\n"
                  "    for i = 1, 3 do out:write(i .. ' ') iza.sleep('10m') end\n"
                  "  end} end,\n"
                  "  ['GET /big'] = function() return {stream = function(out)\n"
                  "    for _ = 1, 200 do out:write(('x'):rep(10000)) end\n"
                  "  end} end,\n"
                  "}})\n"
                  "local url = 'http://127.0.0.1:' .. server.port\n");
  iz_buf_adds(&b, code);
  iz_buf_adds(&b, "server:stop()\n");
  run(iz_buf_cstr(&b));
  iz_buf_free(&b);
}

static void test_a_month_beside_an_exchange(void **state) {
  (void)state;
  run_with_server("local slept = false\n"
                  "local month = iza.spawn(function() iza.sleep('30d') slept = true end)\n"
                  "for i = 1, 50 do\n"
                  "  assert(assert(iza.http.get(url .. '/now')).body == 'now')\n"
                  "  local big = ('x'):rep(300000)\n"
                  "  assert(assert(iza.http.post(url .. '/size', {body = big})).body == '300000')\n"
                  "end\n"
                  "assert(passed() == 0 and not slept, passed())\n"
                  "month:join()\n"
                  "assert(passed() == 30 * 86400)\n"
                  "assert(assert(iza.http.get(url .. '/now')).body == 'now')\n");
}

static void test_a_handler_may_sleep(void **state) {
  (void)state;
  run_with_server("assert(assert(iza.http.get(url .. '/slow')).body == 'slow')\n"
                  "assert(passed() == 3600, passed())\n"
                  "assert(assert(iza.http.get(url .. '/stream')).body == '1 2 3 ')\n"
                  "assert(passed() == 3600 + 1800, passed())\n"
                  "local all = {}\n"
                  "for i = 1, 20 do\n"
                  "  all[i] = function() return assert(iza.http.get(url .. '/slow')).body end\n"
                  "end\n"
                  "iza.all(all)\n"
                  "assert(passed() >= 2 * 3600 + 1800, passed())\n");
}

static void test_a_reader_may_sleep(void **state) {
  (void)state;
  run_with_server("local answer, n = assert(iza.http.stream(url .. '/big')), 0\n"
                  "for piece in answer:chunks() do n = n + #piece iza.sleep('1s') end\n"
                  "assert(n == 2000000, n)\n"
                  "assert(passed() > 5 and passed() < 3600, passed())\n");
}

static char socket_path[64], half_path[72];

/* A peer that is none of the program's tasks: half a head, a pause, the rest. */
static void *slow_peer(void *arg) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", socket_path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  while (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) usleep(1000);
  static const char first[] = "GET /seen HTTP/1.1\r\n", rest[] = "Host: localhost\r\n\r\n";
  send(fd, first, sizeof first - 1, MSG_NOSIGNAL);
  close(open(half_path, O_CREAT | O_WRONLY, 0600));
  usleep(100000);
  send(fd, rest, sizeof rest - 1, MSG_NOSIGNAL);
  char answer[512];
  while (recv(fd, answer, sizeof answer, 0) > 0) {
  }
  close(fd);
  return arg;
}

static void test_time_stands_still_while_a_request_comes_in(void **state) {
  (void)state;
  snprintf(socket_path, sizeof socket_path, "/tmp/iza-virtual-%d.sock", (int)getpid());
  snprintf(half_path, sizeof half_path, "%s.half", socket_path);
  iz_buf b = {0};
  iz_buf_addf(&b,
              "local t0, seen = iza.now(), iza.channel()\n"
              "local server = assert(iza.http.serve{host = 'unix:%s', routes = {\n"
              "  ['GET /seen'] = function() seen:send(iza.now() - t0) return {text = '', headers = "
              "{connection = 'close'}} end,\n"
              "  ['GET /slow'] = function() iza.sleep('1h') return {text = 'slow'} end,\n"
              "}})\n"
              "assert(iza.exec{'sh', '-c', 'until [ -e %s ]; do sleep 0.01; done'}.ok)\n"
              "local month = iza.spawn(function() iza.sleep('30d') end)\n"
              "assert(seen:recv() == 0)\n"
              "assert(iza.http.get('http://localhost/slow', {socket = '%s'}).body == 'slow')\n"
              "month:join()\n"
              "assert(iza.now() - t0 == 30 * 86400)\n"
              "server:stop()\n",
              socket_path, half_path, socket_path);
  pthread_t peer;
  assert_int_equal(pthread_create(&peer, NULL, slow_peer, NULL), 0);
  run(iz_buf_cstr(&b));
  pthread_join(peer, NULL);
  unlink(half_path);
  iz_buf_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_month_passes_at_once),
      cmocka_unit_test(test_time_stands_still_while_a_child_or_a_file_is_busy),
      cmocka_unit_test(test_the_grace_of_a_stubborn_child_passes_at_once),
      cmocka_unit_test(test_a_month_beside_an_exchange),
      cmocka_unit_test(test_a_handler_may_sleep),
      cmocka_unit_test(test_a_reader_may_sleep),
      cmocka_unit_test(test_time_stands_still_while_a_request_comes_in),
  };
  return cmocka_run_group_tests_name("virtual time", tests, NULL, NULL);
}
