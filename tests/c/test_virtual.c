/* test_virtual.c -- the scheduler, child processes and files under virtual time: sleeps pass at
 * once, and time stands still while work outside the loop is under way. */
#include "run_script.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_month_passes_at_once),
      cmocka_unit_test(test_time_stands_still_while_a_child_or_a_file_is_busy),
      cmocka_unit_test(test_the_grace_of_a_stubborn_child_passes_at_once),
  };
  return cmocka_run_group_tests_name("virtual time", tests, NULL, NULL);
}
